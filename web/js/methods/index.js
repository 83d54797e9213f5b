// The methods that the page has maths of its own for: one row each. Everything else is drawn as recorded.

import { recorded } from '../decision/recorded.js'
import { byHand } from './hand.js'
import { klora } from './klora.js'
import { inPasses, inTurn } from './whole.js'

/**
 * @typedef {import('../decision/decision.js').Decider} Decider
 * @typedef {import('../decision/document.js').PlanDocument} PlanDocument
 */

/** @type {Map<string, Decider>} */
const LIVE = new Map([
  ['K-LoRA', klora],
  ['LoRA Switch', inTurn],
  ['LoRA Composite', inPasses],
  ['CMLoRA', inPasses],
  ['As scheduled', byHand]
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
