// The text that says how strongly a LoRA works in which blocks, `down 1-3: 0, mid: 0.5`: read as
// klora_core/names/blocks reads it, and written for strengths that were painted. Pure.

import { MOST, numberOf } from './when.js'

const EVERYWHERE = 'all'
const ALSO = new Map([['middle', 'mid']])
const ENTRY = /^(.*?)\s*(\d+)\s*(?:-\s*(\d+))?$/s
// The server reads digits of other scripts too: the page leaves them to it.
const FOREIGN = /(?![0-9])\p{Nd}/u

/**
 * Blocks with one strength; without numbers a stage, a block that has none, or `all`.
 * @typedef {{ name: string, strength: number, first: number | null, last: number | null }} Entry
 * What a text says: a half of the network by name, or entries, the narrowest first.
 * @typedef {{ preset: string, entries: Entry[] }} Blocks
 * A block of the map by its stage and its name.
 * @typedef {{ group: string, block: string }} Place
 */

/** The entries of a text, as they were written. @param {string} text */
export const entriesIn = (text) => text.split(/[,;\n]/).map((part) => part.trim().replace(/\s+/g, ' ')).filter(Boolean)

/** What a text says, or null where it says nothing that can be read. @param {string} text @returns {Blocks | null} */
export function readBlocks(text) {
  const parts = entriesIn(text)
  if (parts.length === 1 && !parts[0].includes(':')) return { preset: parts[0].toLowerCase(), entries: [] }
  /** @type {Entry[]} */
  const entries = []
  for (const part of parts) {
    const entry = entryOf(part)
    if (!entry || entries.some((other) => contradict(entry, other))) return null
    entries.push(entry)
  }
  return { preset: '', entries: entries.sort((one, other) => width(one) - width(other)) }
}

/** The strength in a block, 1 where nothing is said of it. @param {Blocks} blocks @param {Place} place */
export const strengthIn = ({ entries }, place) => entries.find((entry) => names(entry, place))?.strength ?? 1

/**
 * The shortest text that says these strengths of blocks, each of them once, in the order of the network.
 * @param {(Place & { strength: number })[]} blocks
 */
export function writeBlocks(blocks) {
  const groups = [...new Set(blocks.map(({ group }) => group))].map((name) => blocks.filter(({ group }) => group === name))
  const written = [...new Set([1, ...blocks.map(({ strength }) => strength)])].map((rest) => [
    ...groups.flatMap((group) => shortest(waysOf(group, rest))),
    ...(rest === 1 ? [] : [said(EVERYWHERE, rest)])
  ])
  // Of equally many entries those that name what is not as it was.
  return written.reduce((best, way) => (way.length < best.length ? way : best)).join(', ')
}

/** The entries of `text` that name none of these blocks, as they were written. @param {string} text @param {Place[]} places */
export function entriesBeside(text, places) {
  return entriesIn(text).filter((part) => {
    const entry = entryOf(part)
    return entry && !places.some((place) => names(entry, place))
  })
}

/** @param {string} text @returns {Entry | null} */
function entryOf(text) {
  const at = text.indexOf(':')
  const [name, value] = [text.slice(0, at).trim().toLowerCase(), text.slice(at + 1).trim()]
  const strength = numberOf(value)
  if (at < 0 || !name || FOREIGN.test(name) || !(Math.abs(strength) <= MOST)) return null
  const found = ENTRY.exec(name)
  if (!found?.[1]) return { name: ALSO.get(name) ?? name, strength, first: null, last: null }
  const first = Number(found[2])
  const last = found[3] === undefined ? first : Number(found[3])
  return last < first ? null : { name: found[1], strength, first, last }
}

/** @param {Entry} entry @param {Place} place */
function names({ name, first, last }, place) {
  const [group, own] = [place.group.toLowerCase(), place.block.toLowerCase()]
  if (first === null || last === null) return [EVERYWHERE, group, own].includes(name)
  // Blocks beside the stages may end in a digit: mlp1.
  if (first === last && own === `${name}${first}`) return true
  const numbered = /^(.*) (\d+)$/.exec(own)
  return numbered?.[1] === name && first <= Number(numbered[2]) && Number(numbered[2]) <= last
}

/** How much an entry names at once. @param {Entry} entry */
function width({ name, first, last }) {
  if (first === null || last === null) return name === EVERYWHERE ? 2e9 : 1e9
  return last - first
}

/** Whether two entries name a block twice, and differ. @param {Entry} one @param {Entry} other */
function contradict(one, other) {
  if (one.strength === other.strength || one.name !== other.name || width(one) !== width(other)) return false
  if (one.first === null || other.first === null || one.last === null || other.last === null) return true
  return one.first <= other.last && other.first <= one.last
}

/**
 * The ways to say the blocks of a stage where `rest` holds of what is not named: those that differ one by one, or all
 * of them at once and the exceptions. What is narrower comes first: of two equally wide entries the first holds.
 * @param {(Place & { strength: number })[]} blocks @param {number} rest
 */
function waysOf(blocks, rest) {
  const { group } = blocks[0]
  // The name of such a block names its whole stage.
  const unnamed = blocks.length > 1 ? blocks.find(({ block }) => block === group) : undefined
  const levels = [...new Set([rest, ...blocks.map(({ strength }) => strength)])]
  return levels
    .filter((level) => !unnamed || unnamed.strength === level)
    .map((level) => [...exceptions(blocks, level), ...(level === rest ? [] : [said(group, level)])])
}

/** @param {(Place & { strength: number })[]} blocks @param {number} level */
function exceptions(blocks, level) {
  const numberOf = (/** @type {Place} */ { group, block }) => (block.startsWith(`${group} `) ? Number(block.slice(group.length)) : NaN)
  const numbered = blocks.filter((one) => numberOf(one) >= 0).sort((one, other) => numberOf(one) - numberOf(other))
  const beside = blocks.filter((one) => !(numberOf(one) >= 0) && one.strength !== level)
  /** @type {{ first: number, last: number, strength: number }[]} */
  const runs = []
  let going = false
  for (const one of numbered) {
    const run = runs.at(-1)
    if (going && run?.strength === one.strength) run.last = numberOf(one)
    else if (one.strength !== level) runs.push({ first: numberOf(one), last: numberOf(one), strength: one.strength })
    going = one.strength !== level
  }
  const { group } = blocks[0]
  return [
    ...beside.map(({ block, strength }) => said(block, strength)),
    ...runs.map(({ first, last, strength }) => said(`${group} ${first === last ? first : `${first}-${last}`}`, strength))
  ]
}

/** @param {string} name @param {number} strength */
const said = (name, strength) => `${name}: ${Number(strength.toFixed(4)) || 0}`

/** That of the fewest entries, of these the shortest. @param {string[][]} ways @returns {string[]} */
const shortest = (ways) =>
  ways.reduce((best, way) => {
    const fewer = way.length - best.length || way.join().length - best.join().length
    return fewer < 0 ? way : best
  })
