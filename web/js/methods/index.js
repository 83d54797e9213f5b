// The methods that the page has maths of its own for: one row each. Everything else is drawn as recorded.

import { recorded } from '../decision/recorded.js'
import { klora } from './klora.js'
import { inPasses, inTurn } from './whole.js'

/**
 * How decisions come from a document. `settings(read, document)` are those on the node that they follow,
 * `settingsOf(document)` the ones the document was made with, `same` whether two decide alike. `fixed` names
 * the widgets that decide too and can't be followed; without it no widget can. `even` is the value of the
 * widget `dial` that gives the second candidate a share of the layers.
 * @typedef {import('../decision/columns.js').Columns} Columns
 * @typedef {import('../decision/decision.js').Decision} Decision
 * @typedef {import('../decision/document.js').PlanDocument} PlanDocument
 * @typedef {(name: string, otherwise: any) => any} Read
 * @typedef {{
 *   fixed?: string[],
 *   accepts: (document: PlanDocument) => boolean,
 *   settings: (read: Read, document: PlanDocument) => any,
 *   settingsOf: (document: PlanDocument) => any,
 *   same: (one: any, other: any) => boolean,
 *   decide: (document: PlanDocument, settings: any, columns: Columns) => Decision,
 *   dial?: string,
 *   even?: (document: PlanDocument, settings: any, columns: Columns, share: number) => number | null
 * }} Decider
 */

/** @type {Map<string, Decider>} */
const LIVE = new Map([
  ['K-LoRA', klora],
  ['LoRA Switch', inTurn],
  ['LoRA Composite', inPasses],
  ['CMLoRA', inPasses]
])

/** @param {{ name: string, live: boolean }} method */
const deciders = ({ name, live }) => [live ? LIVE.get(name) : undefined, recorded]

/**
 * The widgets that decide for a method too and can't be followed; undefined where no widget can.
 * @param {{ name: string, live: boolean }} method
 */
export const fixedBy = (method) => deciders(method).find(Boolean)?.fixed

/**
 * What decides for a document, or null where the page can't tell: then no map is drawn.
 * @param {PlanDocument} document
 * @returns {Decider | null}
 */
export function deciderOf(document) {
  return deciders(document.method).find((decider) => decider?.accepts(document)) ?? null
}
