// The rows of LoRA Set behind a node: which of its LoRAs each is of, what it says, and saying something else.

import { asideBy, inputOf, isLinked, sourceOf, sourceWidget, widgetValue } from './graph.js'
import { filesOf, isFile } from './widgets.js'

const SET = 'KLoRASet'
const OTHER = 'other'
const ALL_OTHER = 'all other'
const BYPASSED = 'bypassed'
const DEFAULTS = { start: 0, end: 1, curve: '', blocks: '' }

/**
 * Why a LoRA has no row that can be painted: it comes from another node than LoRA Set, or by a stack; other LoRAs ran
 * than are there now; what its row says comes by a link from what the page can't set.
 * @typedef {'elsewhere' | 'stack' | 'changed' | 'linked'} Why
 * @typedef {{ start: number, end: number, curve: string, blocks: string }} Row
 * @typedef {{ node: any, why: Why | null }} Place
 * @typedef {{ node: any, role: string, files?: string[] }} Member a node of null: a stack, of however many
 */

/**
 * Where the row of each LoRA is that takes part, in the order of a document.
 * @param {any} node @param {{ loras: { role: string, name?: string }[] }} document @param {any} rootGraph @returns {Place[]}
 */
export function rowPlaces(node, { loras }, rootGraph) {
  const taking = loras.filter(({ role }) => role !== OTHER)
  const all = (/** @type {Why} */ why) => taking.map(() => ({ node: null, why }))
  const slot = node.inputs?.findIndex((/** @type {any} */ { type }) => type === 'LORA_SET') ?? -1
  const members = slot < 0 ? null : membersOf(sourceOf(node, slot, rootGraph)?.node, rootGraph)
  if (!members) return all('elsewhere')
  const stacks = members.filter((member) => !member.node).length
  const own = members.length - stacks
  if (stacks > 1 && loras.length > own) return all('stack')
  if (loras.length < own || (!stacks && loras.length !== own)) return all('changed')
  const whole = members.flatMap((one) => (one.node ? [one] : Array(loras.length - own).fill(one)))
  const ordered = [...whole.filter(({ role }) => role !== OTHER), ...whole.filter(({ role }) => role === OTHER)]
  const fits = ordered.every(({ node: row, role, files = [] }, i) => {
    const { role: ran, name = '' } = loras[i]
    return !row || (role === ran && (!files.length || !isFile(name) || files.includes(name)))
  })
  if (!fits) return all('changed')
  return ordered.slice(0, taking.length).map(({ node: row }) => placeOf(row, rootGraph))
}

/**
 * What a row says now; null where that can't be told.
 * @param {Place} place @param {any} rootGraph @returns {Row | null}
 */
export function rowAt({ node, why }, rootGraph) {
  if (why) return null
  const read = (/** @type {keyof typeof DEFAULTS} */ name) => widgetValue(node, name, rootGraph) ?? DEFAULTS[name]
  return { start: Number(read('start')), end: Number(read('end')), curve: String(read('curve')), blocks: String(read('blocks')) }
}

/** @param {any} row @param {any} rootGraph @returns {Place} */
function placeOf(row, rootGraph) {
  if (!row) return { node: null, why: 'stack' }
  const settable = Object.keys(DEFAULTS).every((name) => sourceWidget(row, name, rootGraph))
  return { node: row, why: settable ? null : 'linked' }
}

/**
 * The LoRAs that a LoRA Set gives, in its order; null where something else is behind it.
 * @param {any} node @param {any} rootGraph @returns {Member[] | null}
 */
function membersOf(node, rootGraph) {
  if (node?.type !== SET) return null
  const linked = (/** @type {string} */ name) => {
    const slot = inputOf(node, name)
    return isLinked(node, slot) ? slot : -1
  }
  const before = linked('set') < 0 ? [] : membersOf(sourceOf(node, linked('set'), rootGraph)?.node, rootGraph)
  if (!before) return null
  const aside = asideBy(node, rootGraph)
  // Bypassed, it hands on the set that it is given.
  if (aside) return aside === BYPASSED ? before : null
  if (widgetValue(node, 'on', rootGraph) === false) return before
  const given = (/** @type {string} */ name) => {
    const source = linked(name) < 0 ? null : sourceOf(node, linked(name), rootGraph)
    return source && !asideBy(source.node, rootGraph) ? source : null
  }
  const lora = given('lora')
  const role = String(widgetValue(node, 'role', rootGraph) ?? '')
  const stacked = String(widgetValue(node, 'stack_roles', rootGraph) ?? '')
  return [
    ...before,
    ...(lora ? [{ node, role, files: filesOf(lora) }] : []),
    ...(given('lora_stack') ? [{ node: null, role: stacked === ALL_OTHER ? OTHER : '' }] : [])
  ]
}
