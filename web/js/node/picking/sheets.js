// The sheets of all Pick and Learn nodes of the page: who hears of what.

import { readArrival } from '../../decision/sheet.js'
import { Sheets } from '../../decision/sheets.js'
import { executionIdOf, nodeAt } from '../../graph/graph.js'
import { wordsFor } from '../../sheet/words.js'
import { PickSheet } from './sheet.js'

const NODE = 'KLoRAPickAndLearn'

export class PickSheets {
  #app
  #asked
  #prompts
  /** @type {Map<object, PickSheet>} */
  #sheets = new Map()

  /**
   * @param {any} app @param {any} api @param {import('../../page/history.js').History} history
   * @param {import('../../page/prompts.js').Prompts} prompts
   */
  constructor(app, api, history, prompts) {
    this.#app = app
    this.#prompts = prompts
    const urlOf = (/** @type {import('../../decision/sheet.js').File} */ file) => api.apiURL(`/view?${new URLSearchParams(file)}`)
    this.#asked = { sheets: new Sheets(), held: { name: '', at: 0, until: 0 }, history, urlOf }
  }

  /** The sheet for a new node; null for a node of any other kind. @param {any} node @param {string} locale */
  put(node, locale) {
    if (node.comfyClass !== NODE) return null
    const sheet = new PickSheet(this.#app, node, { words: wordsFor(locale), ...this.#asked })
    this.#sheets.set(node, sheet)
    return sheet
  }

  /** The node is on a graph again. @param {any} node @param {PickSheet} sheet */
  added(node, sheet) {
    this.#sheets.set(node, sheet)
    sheet.added()
  }

  /** @param {any} node */
  removed(node) {
    this.#sheets.get(node)?.destroy()
    this.#sheets.delete(node)
  }

  /** A picture is there. @param {any} detail @param {string | undefined} prompt */
  async arrive(detail, prompt) {
    const arrival = readArrival(detail)
    if (!arrival) return
    const its = detail.prompt ?? prompt
    const { rootGraph } = this.#app
    const sheet = this.#sheets.get(nodeAt(rootGraph, detail.node))
    const received = sheet?.received
    if (!sheet || !(await this.#prompts.areOf(its, rootGraph.id))) return
    // After a short run the whole sheet is there before this is known.
    if (sheet.received === received) sheet.arrive(arrival, String(its))
  }

  /** What each node of the prompt does. @param {any} states */
  follow(states) {
    this.#each((sheet) => sheet.run(states?.[executionIdOf(sheet.node, this.#app.rootGraph)]?.state === 'running'))
  }

  /** No prompt runs any more. */
  ended() {
    this.#each((sheet) => sheet.run(false))
  }

  update() {
    this.#each((sheet) => sheet.update())
  }

  /** @param {(sheet: PickSheet) => void} act */
  #each(act) {
    for (const [node, sheet] of this.#sheets) if (/** @type {any} */ (node).graph) act(sheet)
  }
}
