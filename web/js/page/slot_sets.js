// The documents of runs, whole: a run sends its settings, and names the set of slots that the server keeps.

import { readDocument, readSet } from '../decision/document.js'
import { Answers } from './answers.js'

const ROUTE = '/klora/sets/'
const KEPT = 8

/**
 * @typedef {import('../decision/document.js').PlanDocument} PlanDocument
 * @typedef {import('../decision/document.js').Sent} Sent
 * @typedef {import('../decision/document.js').SlotSet} SlotSet
 */

/** Asks the server once for each set, and knows the last few. */
export class SlotSets {
  #api
  /** @type {Answers<SlotSet | null>} */
  #sets

  /** @param {any} api */
  constructor(api) {
    this.#api = api
    this.#sets = new Answers((name) => this.#ask(name), KEPT)
  }

  /** What was sent, as a whole document; null where the server keeps its set no longer. @param {Sent} sent */
  async documentOf(sent) {
    const { set: name, ...settings } = sent
    if (name === undefined) return readDocument(sent)
    const set = await this.#sets.get(name)
    return set && readDocument({ ...set, ...settings })
  }

  /** @param {string} name */
  async #ask(name) {
    const set = await this.#fetch(name)
    // It may be there the next time.
    if (!set) this.#sets.forget(name)
    return set
  }

  /** @param {string} name @returns {Promise<SlotSet | null>} */
  async #fetch(name) {
    try {
      // A name stands for one content: what the browser has of it is never out of date.
      const answer = await this.#api.fetchApi(ROUTE + encodeURIComponent(name), { cache: 'force-cache' })
      return answer.status === 200 ? readSet(await answer.json()) : null
    } catch {
      // A server that is restarting keeps nothing.
      return null
    }
  }
}
