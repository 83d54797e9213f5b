// The rows of LoRA Set, as a run had them and as they are painted: when and in which blocks each LoRA works. Pure.

import { entriesBeside, entriesIn, readBlocks, strengthIn, writeBlocks } from '../decision/blocks.js'
import { MOST, pointsIn, readCurve, windowOf } from '../decision/when.js'

/**
 * @typedef {import('../decision/decision.js').Row} Row
 * @typedef {import('../decision/document.js').PlanDocument} PlanDocument
 * @typedef {import('../decision/document.js').Slot} Slot
 * @typedef {import('../decision/decision.js').Stroke} Stroke
 * @typedef {import('../decision/decision.js').OnColumns} OnColumns
 */

/** The rows that the run of a document had. @param {PlanDocument} document @returns {Row[]} */
export const rowsThatRan = ({ by_hand: { when }, loras }) =>
  when.map((/** @type {Row} */ { start, end, curve }, /** @type {number} */ i) => ({ start, end, curve, blocks: loras[i]?.blocks ?? '' }))

/** Whether a LoRA changes a slot, be it that its blocks leave it nothing there. @param {Slot} slot @param {number} lora */
export const changes = ({ there, silent }, lora) => there.includes(lora) || (silent?.includes(lora) ?? false)

/**
 * How strongly a LoRA works in the slots, by its blocks; 0 where it changes nothing.
 * @param {Row} row @param {Slot[]} slots @param {number} lora
 */
export function strengthsOf({ blocks }, slots, lora) {
  const read = readBlocks(blocks)
  return slots.map((slot) => {
    if (!changes(slot, lora)) return 0
    // Which slots a half of the network has is known of the run alone.
    if (read?.preset) return slot.there.includes(lora) ? 1 : 0
    return read ? strengthIn(read, slot) : 1
  })
}

/** @param {Row} one @param {Row} other */
export const sameRow = (one, other) =>
  one.start === other.start && one.end === other.end && sameBlocks(one, other) &&
  pointsIn(one.curve).join() === pointsIn(other.curve).join()

/** Whether the page can work out what a row says, where one of the run said `ran`. @param {Row} row @param {Row} ran */
export function isReadable({ start, end, curve, blocks }, ran) {
  const read = readBlocks(blocks)
  const known = read && (!read.preset || sameBlocks({ blocks }, ran))
  return Boolean(known) && readCurve(curve) !== null && start >= 0 && start <= end && end <= 1
}

/**
 * A row after a stroke on the map of its LoRA; null where its blocks can't be painted: a half of the network that
 * takes a block apart.
 * @param {Stroke} stroke @param {Row} row
 * @param {{ document: PlanDocument, lora: number, xs: Float64Array }} on
 * @returns {Row | null}
 */
export function stroked(stroke, row, { document, lora, xs }) {
  if ('anew' in stroke) return { ...row, start: 0, end: 1, blocks: '' }
  if ('columns' in stroke) return { ...row, ...inColumns(stroke.columns, row, xs) }
  const blocks = blocksOf(document, row, lora)
  if (!blocks) return null
  const [first, last] = [...stroke.slots].sort((one, other) => one - other)
  const touched = new Set(document.slots.slice(first, last + 1).map(({ block }) => block))
  const begun = blocks.find(({ block }) => block === document.slots[stroke.slots[0]]?.block)
  const asked = stroke.strength === undefined ? undefined : possible(stroke.strength)
  // From a block that has this strength it is taken away again.
  const to = begun && begun.strength === asked ? 1 : asked
  const after = blocks.map((one) => (touched.has(one.block) ? { ...one, strength: to ?? possible(one.strength + (stroke.by ?? 0)) } : one))
  return { ...row, blocks: [...entriesBeside(row.blocks, blocks), writeBlocks(after)].filter(Boolean).join(', ') }
}

/** A strength as a text says it. @param {number} strength */
const possible = (strength) => Math.max(-MOST, Math.min(MOST, Math.round(strength * 1e4) / 1e4))

/** @param {OnColumns['columns']} columns @param {Row} row @param {Float64Array} xs */
function inColumns([from, to], { start, end }, xs) {
  if (from !== null && to !== null) return windowOf(xs, Math.min(from, to), Math.max(from, to))
  if (from !== null) return startBefore(windowOf(xs, from, from).start, end)
  return to === null ? {} : endAfter(windowOf(xs, to, to).end, start)
}

/** A start, and the end where it was before that. @param {number} start @param {number} end */
const startBefore = (start, end) => ({ start, end: end > start ? end : 1 })
/** @param {number} end @param {number} start */
const endAfter = (end, start) => ({ start: start < end ? start : 0, end })

/**
 * The blocks of the map that a LoRA changes, each once, with its strength there.
 * @param {PlanDocument} document @param {Row} row @param {number} lora
 */
function blocksOf({ slots }, row, lora) {
  /** @type {Map<string, { group: string, block: string, strength: number }>} */
  const found = new Map()
  const strengths = strengthsOf(row, slots, lora)
  for (const [at, slot] of slots.entries()) {
    if (!changes(slot, lora)) continue
    const { group, block } = slot
    const strength = strengths[at]
    if ((found.get(block)?.strength ?? strength) !== strength) return null
    found.set(block, { group, block, strength })
  }
  return [...found.values()]
}

/** @param {{ blocks: string }} one @param {{ blocks: string }} other */
function sameBlocks(one, other) {
  const [ours, theirs] = [one, other].map(({ blocks }) => entriesIn(blocks).map(said).join().toLowerCase())
  return ours === theirs
}

/** An entry whatever the blanks around its colon. @param {string} entry */
const said = (entry) => entry.split(':').map((part) => part.trim()).join(':')
