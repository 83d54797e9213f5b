// The sheet of one Pick and Learn node: joins what the server sent and the text of the widget `picks` to what the
// view shows. The text is the only state; buttons and pictures write it as a hand would.

import { isTaken, more, roundOf, sheetOf, take, toggled } from '../../decision/picks.js'
import { readSheet, withArrival } from '../../decision/sheet.js'
import { isAsAsked } from '../../graph/asked.js'
import { executionIdOf, inputOf, isLinked, sourceWidget } from '../../graph/graph.js'
import { allFilesAbove, ownWidgets, setWidget, settingsText, watchWidgets } from '../../graph/widgets.js'
import { HEIGHT, SheetView } from '../../sheet/view.js'
import { mount, takePlace } from '../place.js'

const WIDGET = 'klora_sheet'
const PICKS = 'picks'
const LIKED = 'liked'
// A fresh node has room for some fifty pictures.
const SIZE = [560, 900]
// As long as undo takes to make the nodes anew, in ms.
const HOLDS = 10_000

/**
 * @typedef {import('../../decision/sheet.js').Sheet} Sheet
 * @typedef {import('../../decision/sheets.js').Sheets} Sheets
 * @typedef {import('../../sheet/words.js').Words} Words
 */

/** The sheet in a node's output, or null. @param {any} output */
function sheetIn(output) {
  const found = output?.klora_picks
  return Array.isArray(found) ? readSheet(found[found.length - 1]) : null
}

export class PickSheet {
  #app
  #node
  #asked
  /** @type {SheetView} */
  #view
  /** What is on its way, and what was asked for when it began. @type {{ sheet: Sheet, picks: string } | null} */
  #coming = null
  #running = false
  /** What the page's memory called the node when it was last shown: a graph that is cleared has another id. */
  #named = ''
  /** What the server's history was asked for. @type {Set<string>} */
  #sought = new Set()
  /** The sheets that were sent to this very node. @type {WeakSet<Sheet>} */
  #own = new WeakSet()
  /** @type {WeakSet<object>} */
  #watched = new WeakSet()
  #frame = 0
  #received = 0
  #end = new AbortController()

  /**
   * `sheets` are what the page has seen; `urlOf` says where a picture is; `history` finds what an earlier run sent;
   * `held` is the picture that had the keyboard on a node that has just gone, and how long it is waited for.
   * @param {any} app @param {any} node
   * @param {{
   *   words: Words, sheets: Sheets, held: { name: string, at: number, until: number },
   *   urlOf: (file: import('../../decision/sheet.js').File) => string,
   *   history: import('../../page/history.js').History
   * }} asked
   */
  constructor(app, node, asked) {
    this.#app = app
    this.#node = node
    this.#asked = asked
    this.#view = this.#attach()
    const least = node.computeSize()
    node.setSize([Math.max(node.size[0], SIZE[0]), Math.max(least[1], SIZE[1])])
  }

  get node() {
    return this.#node
  }

  /** How many sheets were sent to this node. */
  get received() {
    return this.#received
  }

  /** The node is on a graph, for the first time or again. */
  added() {
    if (this.#end.signal.aborted) this.#view = this.#attach()
    this.update()
  }

  /** A run has sent its sheet. @param {any} output */
  receive(output) {
    const sheet = sheetIn(output)
    if (!sheet) return
    this.#coming = null
    this.#received++
    const text = this.#text()
    // Undo during the run: the picks that it was made by are no more, and redo finds it in the server's history.
    const isUndone = text !== null && (sheet.round > roundOf(text) || (sheet.taken !== '' && !isTaken(text)))
    if (!isUndone) {
      this.#own.add(sheet)
      this.#put(sheet, text ?? '')
    }
    this.update()
  }

  /** A picture of a run is there. @param {import('../../decision/sheet.js').Arrival} arrival @param {string} prompt */
  arrive(arrival, prompt) {
    const begins = this.#coming?.sheet.coming !== prompt
    const picks = begins ? sheetOf(this.#text() ?? '') : (this.#coming?.picks ?? '')
    const before = begins ? this.#shown()?.sheet : this.#coming?.sheet
    this.#coming = { sheet: withArrival(before ?? null, arrival, prompt), picks }
    this.update()
  }

  /** Whether the node runs now. @param {boolean} running */
  run(running) {
    if (running === this.#running) return
    this.#running = running
    this.update()
  }

  /** Looks at the node's widgets and the graph on the next frame. */
  update() {
    if (this.#frame || this.#end.signal.aborted) return
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0
      this.#show()
    })
  }

  destroy() {
    cancelAnimationFrame(this.#frame)
    this.#frame = 0
    this.#end.abort()
    // Undo makes the node anew: the keyboard stays where it was.
    const at = this.#view.held
    if (at >= 0) Object.assign(this.#asked.held, { name: this.#named, at, until: performance.now() + HOLDS })
    this.#view.destroy()
  }

  #attach() {
    const { words, urlOf } = this.#asked
    const view = new SheetView({
      words,
      urlOf: ({ image }) => urlOf(image),
      onToggle: (line) => this.#write(toggled(this.#text() ?? '', line)),
      onMore: (shows) => this.#write(shows ? null : more(this.#text() ?? ''), true),
      onTake: () => this.#write(take(this.#text() ?? ''), true),
      onStartOver: () => this.#write('')
    })
    this.#end = new AbortController()
    mount(this.#node, WIDGET, view.element, {
      app: this.#app,
      label: words.sheet,
      signal: this.#end.signal,
      least: () => HEIGHT
    })
    return view
  }

  /** The widget that holds the picks: the node's own, or that of the subgraph around it; null for any other. */
  #source() {
    const found = sourceWidget(this.#node, PICKS, this.#app.rootGraph)
    return found && (found.node === this.#node || found.node.subgraph) ? found : null
  }

  /** What is picked; null where that can't be told. */
  #text() {
    const value = sourceWidget(this.#node, PICKS, this.#app.rootGraph)?.widget.value
    return typeof value === 'string' ? value : null
  }

  /** @param {string | null} text null: as it is @param {boolean} [runs] */
  #write(text, runs = false) {
    if (!this.#source()) return
    if (text !== null) setWidget(this.#node, PICKS, text, this.#app)
    if (runs) this.#app.queuePrompt(0, 1)
    this.update()
  }

  /** What the page's memory calls this node. */
  #name() {
    const { rootGraph } = this.#app
    return `${rootGraph.id}/${executionIdOf(this.#node, rootGraph)}`
  }

  /** All else that decides on the pictures. */
  #settings() {
    const { rootGraph } = this.#app
    const names = ownWidgets(this.#node).map(({ name }) => name).filter((name) => name !== PICKS)
    return settingsText(this.#node, rootGraph, names) + JSON.stringify(allFilesAbove(this.#node, rootGraph))
  }

  /** @param {Sheet} sheet @param {string} text of the picks it was made by */
  #put(sheet, text) {
    const seen = { sheet, settings: this.#settings() }
    this.#asked.sheets.put(this.#name(), sheetOf(text, sheet.round, sheet.taken !== ''), seen)
  }

  /** The sheet that the picks ask for, or else the newest. */
  #shown() {
    const { sheets } = this.#asked
    const text = this.#text()
    const asked = text === null ? null : sheets.of(this.#name(), sheetOf(text))
    const seen = asked ?? sheets.newestOf(this.#name())
    if (!seen) return null
    const changed = seen.settings !== this.#settings()
    // A file that was opened anew, with other LoRAs, is another piece of work.
    if (changed && !this.#own.has(seen.sheet)) return null
    return { sheet: seen.sheet, changed, isNow: text === null || seen === asked }
  }

  #show() {
    const node = this.#node
    if (!node.graph) return
    this.#named = this.#name()
    takePlace(this.#view.element, node, WIDGET)
    watchWidgets(node, this.#watched, () => this.update())
    const text = this.#text()
    const seen = this.#coming ? null : this.#shown()
    const isNow = this.#coming ? text === null || this.#coming.picks === sheetOf(text) : (seen?.isNow ?? false)
    const own = isLinked(node, inputOf(node, LIKED))
    const sheet = this.#coming?.sheet ?? seen?.sheet ?? null
    const [isOwn, changed] = [this.#source() !== null, seen?.changed ?? false]
    this.#view.show({ sheet, text, isOwn, isNow, own, running: this.#running, changed })
    if (!isNow) this.#seek()
    this.#hold()
  }

  #hold() {
    const { held } = this.#asked
    if (held.name !== this.#named || performance.now() > held.until) return
    // The page takes a few frames to put it in its place, and a person may go elsewhere meanwhile.
    const waits = document.activeElement === document.body
    if (waits && !(this.#view.element.isConnected && this.#view.hold(held.at))) return this.update()
    held.name = ''
  }

  /** Asks the server's history, once for each sheet that is not here. */
  async #seek() {
    const { rootGraph } = this.#app
    const text = this.#text()
    const asked = text === null ? '' : sheetOf(text)
    const id = executionIdOf(this.#node, rootGraph)
    if (this.#sought.has(asked) || this.#running) return
    this.#sought.add(asked)
    const found = await this.#asked.history.sentOf(rootGraph.id, id, (output, prompt) => {
      const sheet = sheetIn(output)
      const picks = prompt[id]?.inputs?.[PICKS]
      const its = typeof picks === 'string' ? picks : ''
      if (!sheet || !this.#node.graph || !isAsAsked(this.#node, id, prompt, rootGraph, [PICKS])) return null
      const isAlike = (/** @type {(text: string) => unknown} */ part) => text === null || part(its) === part(text)
      return [sheetOf, roundOf, isTaken].every((part) => isAlike((one) => part(one))) ? { sheet, its } : null
    })
    if (!found || this.#end.signal.aborted) return
    this.#put(found.sheet, found.its)
    this.update()
  }
}
