// Which workflow a prompt was queued from. Node ids are the same in every tab: without this the map of one
// workflow would show the run of another.

import { Answers } from './answers.js'

const KEPT = 8

export class Prompts {
  #api
  /** @type {Answers<string | null>} */
  #workflows

  /** @param {any} api */
  constructor(api) {
    this.#api = api
    this.#workflows = new Answers((prompt) => this.#ask(prompt), KEPT)
  }

  /**
   * Whether a prompt is one of the workflow `id`; yes where that can't be told.
   * @param {string | undefined} prompt @param {string} id
   */
  async areOf(prompt, id) {
    const workflow = prompt ? await this.workflowOf(prompt) : null
    return workflow === null || workflow === id
  }

  /** The id of a prompt's workflow, null where none is known. @param {string} prompt */
  workflowOf(prompt) {
    return this.#workflows.get(prompt)
  }

  /** @param {string} prompt @returns {Promise<string | null>} */
  async #ask(prompt) {
    const running = (await this.#get('/queue'))?.queue_running ?? []
    const item = running.find((/** @type {any[]} */ one) => one[1] === prompt)
    // One that is so short is over by now.
    const ended = item ? null : (await this.#get(`/history/${prompt}`))?.[prompt]?.prompt
    return (item ?? ended)?.[3]?.extra_pnginfo?.workflow?.id ?? null
  }

  /** @param {string} path @returns {Promise<any>} */
  async #get(path) {
    try {
      const answer = await this.#api.fetchApi(path)
      return answer.ok ? await answer.json() : null
    } catch {
      return null
    }
  }
}
