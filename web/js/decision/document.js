// The plan document `klora-plan/1` as the page takes it: checked once at the door, trusted behind it. The server
// sends it in two parts: what a run was set to, and the set that it names, which holds the slots and what else
// belongs to the LoRAs on their model. Pure.

const SCHEMA = 'klora-plan/1'
const SET_SCHEMA = 'klora-slots/1'
const ROLES = ['background', 'panel', 'band', 'muted', 'text', 'cursor', 'cursorRim']

/**
 * @typedef {{ label: string, letter: string, dark: string, light: string, family?: string }} Candidate
 * @typedef {{ name: string, block: string, group: string, choice?: string } & Record<string, any>} Slot
 * @typedef {Record<string, string>} Colours
 * @typedef {{
 *   schema: string,
 *   method: { name: string, live: boolean, counts_steps?: boolean },
 *   progress: { mode: string },
 *   steps: number,
 *   passes: number,
 *   loras: { name: string, role: string, blocks?: string }[],
 *   candidates: Candidate[],
 *   facts: string[],
 *   slots: Slot[],
 *   page: {
 *     palette: { dark: Colours, light: Colours }, defaults: Record<string, any>, steps: number, said?: string[],
 *     labels?: string[], colours?: [string, string][]
 *   }
 * } & Record<string, any>} PlanDocument
 * As the server sends it: what is the same for all runs of its LoRAs is in a set of that name, or all is here, as
 * older servers send it.
 * @typedef {{
 *   method: { name: string, live: boolean }, loras: { name: string, role: string }[], set?: string
 * } & Record<string, any>} Sent
 * A set with its slots one by one.
 * @typedef {{ slots: Record<string, any>[] } & Record<string, any>} SlotSet
 */

/**
 * `value` as a document that the page can draw from, or null: one of an older version of the pack holds too
 * little for a map, and a wrong map is worse than none.
 * @param {any} value
 * @returns {PlanDocument | null}
 */
export function readDocument(value) {
  const whole =
    value?.schema === SCHEMA &&
    isText(value.method?.name) &&
    typeof value.method.live === 'boolean' &&
    isText(value.progress?.mode) &&
    isCount(value.steps) &&
    isCount(value.passes) &&
    isList(value.loras, isLora) &&
    isList(value.candidates, isCandidate) &&
    value.candidates.length > 0 &&
    isList(value.facts, isText) &&
    isList(value.slots, isSlot) &&
    isPage(value.page)
  return whole ? value : null
}

/**
 * `value` as what the server sends with a run, or null: then it is nothing to draw from.
 * @param {any} value
 * @returns {Sent | null}
 */
export function readSent(value) {
  if (!isText(value?.set)) return readDocument(value)
  const { schema, method, loras } = value
  const known = schema === SCHEMA && isText(method?.name) && typeof method.live === 'boolean' && isList(loras, isLora)
  return known ? value : null
}

/** `value` as a set, or null where it is none. @param {any} value @returns {SlotSet | null} */
export function readSet(value) {
  if (value?.schema !== SET_SCHEMA || typeof value.columns !== 'object' || value.columns === null) return null
  const { schema, columns, ...rest } = value
  const names = Object.keys(columns)
  const read = names.map((name) => valuesOf(columns[name]))
  const count = read[0]?.length ?? 0
  if (!read.every((values) => values?.length === count)) return null
  const slot = (/** @type {number} */ i) => Object.fromEntries(names.map((name, at) => [name, read[at]?.[i]]))
  return { ...rest, slots: Array.from({ length: count }, (_, i) => slot(i)) }
}

/**
 * A value for each slot: as they stand, or which of a few comes how often in a row.
 * @param {any} column @returns {any[] | null}
 */
function valuesOf(column) {
  if (Array.isArray(column)) return column
  const { values, runs } = column ?? {}
  if (!Array.isArray(values) || !Array.isArray(runs)) return null
  const whole = runs.every((run) => run?.[0] in values && Number.isInteger(run[1]) && run[1] > 0)
  return whole ? runs.flatMap(([at, count]) => Array(count).fill(values[at])) : null
}

/** @param {any} value */
const isText = (value) => typeof value === 'string'
/** @param {any} value */
const isCount = (value) => Number.isInteger(value) && value >= 1
/** @param {any} value @param {(one: any) => boolean} each */
const isList = (value, each) => Array.isArray(value) && value.every(each)
/** @param {any} lora */
const isLora = (lora) => isText(lora?.name) && isText(lora.role)
/** @param {any} slot */
const isSlot = (slot) => isText(slot?.name) && isText(slot.block) && isText(slot.group)
/** @param {any} colour */
const isColour = (colour) => isText(colour) && /^#[0-9a-f]{6}$/i.test(colour)
/** @param {any} one */
const isCandidate = (one) =>
  isText(one?.label) && isText(one.letter) && one.letter.length === 1 && isColour(one.dark) && isColour(one.light)
/** @param {any} colours */
const isTheme = (colours) => ROLES.every((role) => isColour(colours?.[role]))
/** @param {any} page */
const isPage = (page) =>
  isTheme(page?.palette?.dark) && isTheme(page.palette.light) && isCount(page.steps) && Boolean(page.defaults)

/**
 * The slot's name behind its block, without `.weight`: `attn1.to_q`, `qkv[0:3072]`. A block such as `down 4`
 * takes the name's first two parts, one without a number the first.
 * @param {Slot} slot
 */
export function nameInBlock({ name, block }) {
  const [path, rows] = name.split('[', 2)
  const parts = path.replace(/\.weight$/, '').split('.')
  const rest = parts.slice(/ \d+$/.test(block) ? 2 : 1).join('.') || parts.join('.')
  return rows === undefined ? rest : `${rest}[${rows}`
}

/**
 * The candidates by what they are called together, each family with the first of its members' places; one that has
 * no family is by itself.
 * @param {Candidate[]} candidates
 */
export function familiesOf(candidates) {
  /** @type {Map<string, number[]>} */
  const found = new Map()
  candidates.forEach(({ label, family = label }, i) => found.set(family, [...(found.get(family) ?? []), i]))
  return [...found].map(([label, members]) => ({ label, members }))
}
