// Evaluates the page's maths for the tests, task by task.

import { columnsFor, joined } from '../../../web/js/decision/columns.js'
import { sharesOf, stretchesOf } from '../../../web/js/decision/decision.js'
import { nameInBlock, readDocument, readSent } from '../../../web/js/decision/document.js'
import { areOf, readGates, withGates } from '../../../web/js/decision/gates.js'
import * as picks from '../../../web/js/decision/picks.js'
import { readArrival, readSheet, sideBySide, slotsOf, withArrival } from '../../../web/js/decision/sheet.js'
import { Sheets } from '../../../web/js/decision/sheets.js'
import { LastDocument } from '../../../web/js/decision/last_document.js'
import { Runs } from '../../../web/js/decision/runs.js'
import { deciderOf } from '../../../web/js/methods/index.js'
import { SlotSets } from '../../../web/js/page/slot_sets.js'
import { keyFor, numberOf, walked } from '../../../web/js/sheet/keys.js'
import { fit } from '../../../web/js/sheet/layout.js'
import { buttonsIn, heading, picturesIn } from '../../../web/js/sheet/telling.js'
import { wordsFor as sheetWords } from '../../../web/js/sheet/words.js'
import { tell } from '../../../web/js/view/telling.js'
import { namesOf, wordsFor } from '../../../web/js/view/words.js'
import { answer } from './lines.mjs'

/** @type {Record<string, (asked: any) => any>} */
const TASKS = {
  /** Decisions of a document, for the settings in `widgets` and the columns of `known`. */
  decide(asked) {
    const decided = decidedBy(asked)
    if (!decided) return null
    const { plan, decider, settings, decision } = decided
    const { columns, passes, choices, curve, facts, supposed } = decision
    const row = columns.count * passes
    return {
      kind: columns.kind,
      xs: columns.xs,
      rows: plan.slots.map((_, slot) => choices.subarray(slot * row, (slot + 1) * row)),
      shares: sharesOf(decision, plan.candidates.length),
      stretches: plan.slots.map((_, slot) => stretchesOf(decision, slot)),
      scales: curve && Array.from(columns.xs, (x) => curve.at(x)),
      even: decider.even ? [0.3, 0.5, 0.7].map((share) => decider.even?.(plan, settings, columns, share)) : null,
      asRan: decider.same(settings, decider.settingsOf(plan)),
      facts,
      supposed,
      course: decision.course?.('en') ?? null,
      mends: decider.mends?.(plan, settings, columns) ?? null
    }
  },
  /** The same decision once a run has told what its gates were; null where they are none of the document's. */
  gated(asked) {
    const decided = decidedBy(asked)
    const gates = readGates(asked.gates)
    if (!decided || !gates || !areOf(gates, decided.plan)) return null
    const { plan, decision } = decided
    const found = withGates(decision, gates, plan, columnsFor(asked.known))
    return {
      shares: sharesOf(found, plan.candidates.length),
      leading: found.choices,
      about: plan.slots.map((_, slot) => found.about(slot, 'en')),
      count: found.columns.count
    }
  },
  /** The two lines below the map of such a document, or of the cell under its `cursor`, in the page's language. */
  lines(asked) {
    const decided = decidedBy(asked)
    if (!decided) return null
    const { plan, decision } = decided
    const words = wordsFor(asked.locale)
    const shares = sharesOf(decision, plan.candidates.length)
    const state = { plan, decision, hint: null, shares, names: namesOf(plan.candidates, words) }
    return tell(state, asked.cursor ?? null, words).lines
  },
  columns: ({ known }) => columnsFor(known),
  joined: ({ runs }) => joined(runs),
  /** The documents of what was `sent`, one after another, where a server keeps `sets`. */
  async documents({ sent, sets }) {
    const known = new SlotSets(serverOf(sets, []))
    const found = []
    for (const one of sent) found.push(await known.documentOf(readSent(one)))
    return found
  },
  /** What a page asks a server for that keeps `sets`, and whether it gets a document of each in turn. */
  async asked({ sent, sets }) {
    /** @type {string[]} */
    const asked = []
    const known = new SlotSets(serverOf(sets, asked))
    const whole = await Promise.all(sent.map((/** @type {any} */ one) => known.documentOf(one)))
    return { asked, whole: whole.map(Boolean) }
  },
  /** Whether a document is whole at each time that it is asked for, where a server keeps other `sets` each time. */
  async again({ sent, sets }) {
    const server = { fetchApi: (/** @type {string} */ path) => serverOf(sets.shift(), []).fetchApi(path) }
    const known = new SlotSets(server)
    const found = []
    while (sets.length) found.push(Boolean(await known.documentOf(sent)))
    return found
  },
  /**
   * What is shown after each of `events`: a document `sent`, the `end` of one's way, or that another map goes on.
   */
  async last({ events }) {
    const ends = new Map()
    let last = new LastDocument(() => {})
    const shown = []
    for (const { sent, end, whole, succeed } of events) {
      if (sent) last.expect({ whole: new Promise((done) => ends.set(sent, done)), workflow: 'w', setTo: sent })
      if (end) ends.get(end)(whole)
      if (succeed) {
        const next = new LastDocument(() => {})
        next.succeed(last)
        last = next
      }
      await new Promise((done) => setTimeout(done))
      shown.push([last.plan, last.setTo, last.gone, last.waits, last.isOf('w')])
    }
    return shown
  },
  nameInBlock: ({ slot }) => nameInBlock(slot),
  /** What one of the functions on the text of picks gives. */
  picks({ name, values }) {
    const given = /** @type {any} */ (picks)[name](...values)
    return given instanceof Set ? [...given] : given
  },
  /** The sheet after each picture that comes in `arrivals`, [arrival, prompt], its places and how they are grouped. */
  arrivals({ sheet, arrivals }) {
    let now = sheet && readSheet(sheet)
    return arrivals.map((/** @type {[any, string]} */ [arrival, prompt]) => {
      const read = readArrival(arrival)
      if (read) now = withArrival(now, read, prompt)
      const slots = now && slotsOf(now)
      return now && { ...now, slots: slots.map((one) => one?.line ?? null), together: sideBySide(slots) }
    })
  },
  sheet: ({ sheet }) => readSheet(sheet),
  /** What is said of a sheet in a state, its pictures, and what its buttons are. */
  said({ state, locale }) {
    const words = sheetWords(locale ?? 'en')
    const whole = {
      text: '', isOwn: true, isNow: true, own: false, running: false, changed: false, ...state,
      sheet: state.sheet && { ...readSheet(state.sheet), coming: state.sheet.coming }
    }
    return { ...heading(whole, words), pictures: picturesIn(whole, words), buttons: buttonsIn(whole, words) }
  },
  /** What a page that saw `put`, [node, picks, sheet], remembers of each of `asks`, [node, picks], and of each node. */
  seen({ put, asks }) {
    const sheets = new Sheets()
    for (const [node, its, sheet] of put) sheets.put(node, its, { sheet, settings: '' })
    return asks.map((/** @type {[string, string | null]} */ [node, its]) =>
      (its === null ? sheets.newestOf(node) : sheets.of(node, its))?.sheet ?? null)
  },
  fit: ({ asked }) => fit(asked),
  keys: ({ numbers }) => numbers.map((/** @type {number} */ one) => [keyFor(one), numberOf(keyFor(one))]),
  walked: ({ key, at, count, columns }) => walked(key, at, count, columns) ?? null,
  /** What is drawn after each of `events`, as [mode, shape] asks for it. */
  runs({ events, asks }) {
    const runs = new Runs()
    for (const { begin, run, mode, shape } of events) begin ? runs.begin() : runs.add(run, mode, shape)
    return asks.map((/** @type {[string, string]} */ [mode, shape]) => runs.shown(mode, shape))
  }
}

/** @param {any} asked */
function decidedBy({ document, widgets, known }) {
  const plan = readDocument(document)
  const decider = plan && deciderOf(plan)
  if (!plan || !decider) return null
  const settings = decider.settings((name, otherwise) => widgets?.[name] ?? otherwise, plan)
  return { plan, decider, settings, decision: decider.decide(plan, settings, columnsFor(known)) }
}

/** A server that answers for `sets`, by name, and writes down what it is `asked`. @param {any} sets @param {string[]} asked */
const serverOf = (sets, asked) => ({
  async fetchApi(/** @type {string} */ path) {
    asked.push(path)
    const name = path.split('/').at(-1) ?? ''
    if (sets[name] === 'down') throw new Error('no server')
    return name in sets ? { status: 200, json: async () => sets[name] } : { status: 204 }
  }
})

await answer(TASKS)
