// What runs sent, for a page that was reloaded: the server remembers what its nodes showed, and what those of the
// prompt that is running have told.

import { readRun } from '../decision/columns.js'
import { readSent } from '../decision/document.js'

const RUNNING = '/klora/running'
// Most reloads follow the run at once; the second look finds it behind cached reruns.
const LOOKS = [4, 64]

/**
 * What a run sent in a node's output, or null. Of several (a list was mapped over) the last one counts.
 * @param {any} output
 */
export function sentIn(output) {
  const found = output?.klora
  return Array.isArray(found) ? readSent(found[found.length - 1]) : null
}

/** Asks the server's history at most once for all nodes that ask at the same moment. */
export class History {
  #api
  /** @type {Map<number, Promise<any[]>>} */
  #entries = new Map()
  /** @type {Promise<any[]> | null} */
  #now = null

  /** @param {any} api */
  constructor(api) {
    this.#api = api
  }

  /**
   * What `executionId` told in the prompt of the workflow `workflowId` that is running now, or null.
   * @param {string} workflowId @param {string} executionId
   */
  async runningOf(workflowId, executionId) {
    this.#now ??= Promise.all([this.#get(RUNNING), this.#get('/queue')])
    const asked = this.#now
    setTimeout(() => this.#now === asked && (this.#now = null), 1000)
    const [told, queue] = await asked
    const isIt = (/** @type {any[]} */ item) =>
      item[1] === told?.prompt && item[3]?.extra_pnginfo?.workflow?.id === workflowId
    const node = queue?.queue_running?.some(isIt) ? told.nodes?.[executionId] : null
    const sent = readSent(node?.sent)
    return sent && { sent, run: readRun(node.run) }
  }

  /**
   * What `executionId` sent last in a run of the workflow `workflowId`, or null; of what it sent, and of the prompt
   * that it ran in, `read` makes what is asked for, null where it is not that.
   * @template Read @param {string} workflowId @param {string} executionId
   * @param {(output: any, prompt: any) => Read | null} read
   */
  async sentOf(workflowId, executionId, read) {
    for (const look of LOOKS) {
      const entries = await this.#newest(look)
      const sent = entries
        .filter((entry) => entry.prompt?.[3]?.extra_pnginfo?.workflow?.id === workflowId)
        .map((entry) => read(entry.outputs?.[executionId], entry.prompt[2] ?? {}))
        .find(Boolean)
      if (sent) return sent
      if (entries.length < look) return null
    }
    return null
  }

  /** @param {number} look */
  #newest(look) {
    const known = this.#entries.get(look)
    if (known) return known
    const asked = this.#fetch(look)
    this.#entries.set(look, asked)
    setTimeout(() => this.#entries.delete(look), 2000)
    return asked
  }

  /** @param {number} look @returns {Promise<any[]>} */
  async #fetch(look) {
    /** @type {any[]} */
    const entries = Object.values((await this.#get(`/history?max_items=${look}`)) ?? {})
    return entries.sort((a, b) => (b.prompt?.[0] ?? 0) - (a.prompt?.[0] ?? 0))
  }

  /** @param {string} path @returns {Promise<any>} */
  async #get(path) {
    try {
      const answer = await this.#api.fetchApi(path)
      return answer.status === 200 ? await answer.json() : null
    } catch {
      // A server that is restarting has nothing to remember.
      return null
    }
  }
}
