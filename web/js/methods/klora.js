// K-LoRA (arXiv 2502.18461, section 3.2) on the scores of its document, for the settings on the node now. The
// same arithmetic, in the same order, as the Python side; gamma of each mode comes with the document.

import { mean, number } from '../decision/decision.js'
import { courseOf, handover } from './handover.js'
import { wordsFor } from './words.js'

const SUBJECT = 0
const STYLE = 1
const [HALF, NEAR, STEP, FAR] = [0.5, 0.05, 0.1, 0.2]

/**
 * @typedef {{ name: string, alpha: number, beta: number, balance: number }} Schedule
 * `beyond`: the schedule is none of K-LoRA's, and what it would do is not known here.
 * @typedef {{ schedule: Schedule, gammaMode: string, beyond?: boolean }} Settings
 * @typedef {import('../decision/document.js').PlanDocument} PlanDocument
 * @typedef {import('../decision/document.js').Slot} Slot
 */

/**
 * S(x) = alpha x + beta (Eq. 7) or S*(x) = (alpha x + beta) mod alpha, times 4**balance.
 * @param {Schedule} schedule @param {number} x
 */
export function scale({ name, alpha, beta, balance }, x) {
  let value = alpha * x + beta
  if (name === 's*') value %= alpha
  return value * 4 ** balance
}

/**
 * rho(l) = S_c(l) / (gamma S_s(l)) of each slot. A style of zero gives Infinity (also where both are zero: the
 * tie is the subject's), a subject of zero -Infinity (the style wins at S = 0 too).
 * @param {Slot[]} slots @param {number} gamma
 */
export function rhos(slots, gamma) {
  return Float64Array.from(slots, (slot) => {
    if (slot.score_style === 0) return Infinity
    if (slot.score_subject === 0) return -Infinity
    return slot.score_subject / (gamma * slot.score_style)
  })
}

/** Eq. 10: who wins, Int8Array [slots, columns]. @param {Float64Array} rho @param {Float64Array} scales */
export function choices(rho, scales) {
  const chosen = new Int8Array(rho.length * scales.length)
  let at = 0
  for (const ratio of rho) for (const scale of scales) chosen[at++] = ratio >= scale ? SUBJECT : STYLE
  return chosen
}

/**
 * The balance within -1 and 1, in hundredths, whose style share over the columns comes nearest to `share`; of
 * equally near ones the one next to 0. Null where no slot competes.
 * @param {Float64Array} rho @param {Schedule} schedule @param {Float64Array} xs @param {number} share
 */
function balanceFor(rho, schedule, xs, share) {
  if (!rho.length) return null
  // A slot is the style's where rho < S(x) 4**b: where this number is below b.
  const turns = new Float64Array(rho.length * xs.length)
  xs.forEach((x, column) => {
    const even = scale({ ...schedule, balance: 0 }, x)
    rho.forEach((ratio, slot) => (turns[column * rho.length + slot] = turnOf(ratio, even)))
  })
  turns.sort()
  let [best, found, below] = [Infinity, 0, 0]
  for (let hundredth = -100; hundredth <= 100; hundredth++) {
    const balance = hundredth / 100
    while (below < turns.length && turns[below] < balance) below++
    const off = Math.abs(below / turns.length - share)
    const nearer = Math.abs(off - best) <= 1e-12 && Math.abs(balance) < Math.abs(found)
    if (off < best - 1e-12 || nearer) [best, found] = [Math.min(off, best), balance]
  }
  return found
}

/** @param {number} ratio @param {number} scale */
function turnOf(ratio, scale) {
  if (ratio === -Infinity) return -Infinity
  return scale === 0 ? Infinity : Math.log(ratio / scale) / Math.log(4)
}

/**
 * gamma under `mode`; one that is no finite number is not in the document.
 * @param {PlanDocument} document @param {string} mode
 */
const gammaOf = ({ gammas }, mode) => gammas[mode] ?? Infinity

/** @type {import('../decision/decision.js').Decider} */
export const klora = {
  fixed: ['method', 'layers', 'score', 'loser', 'outside'],
  accepts,
  settings,
  settingsOf: ({ schedule, gamma }) => ({ schedule: { ...schedule }, gammaMode: gamma.mode }),
  same,
  dial: 'balance',
  even: (document, { schedule, gammaMode }, columns, share) =>
    balanceFor(rhos(document.slots, gammaOf(document, gammaMode)), schedule, columns.xs, share),
  mends: (document, { schedule, gammaMode }, columns) =>
    mends(rhos(document.slots, gammaOf(document, gammaMode)), schedule, columns.xs),
  decide(document, { schedule, gammaMode }, columns) {
    const gamma = gammaOf(document, gammaMode)
    const rho = rhos(document.slots, gamma)
    const chosen = choices(rho, columns.xs.map((x) => scale(schedule, x)))
    const takenOver = handover(chosen, columns.count, STYLE)
    return {
      columns,
      passes: 1,
      choices: chosen,
      curve: { name: nameOf(schedule), at: (x) => scale(schedule, x) },
      headline: formulaOf(schedule),
      facts: [`gamma ${number(gamma)} (${gammaMode})`],
      supposed: false,
      course: (locale) => courseOf(takenOver, columns, locale),
      about: (slot, locale) => rhoOf(rho[slot], wordsFor(locale))
    }
  }
}

/**
 * What mends a lost subject and a weak style: the balance of equal shares where the role has less, else a step
 * toward it; where the balance is far there already, the other schedule.
 * @param {Float64Array} rho @param {Schedule} schedule @param {Float64Array} xs
 * @returns {import('../decision/decision.js').Mend[]}
 */
function mends(rho, schedule, xs) {
  const even = balanceFor(rho, schedule, xs, 0.5)
  if (even === null) return []
  const style = mean(choices(rho, xs.map((x) => scale(schedule, x))))
  const now = schedule.balance
  /** @type {import('../decision/decision.js').Mend[]} */
  const found = []
  for (const { candidate, sign, share, other } of [
    { candidate: STYLE, sign: 1, share: style, other: 's' },
    { candidate: SUBJECT, sign: -1, share: 1 - style, other: 's*' }
  ]) {
    const helps = share < HALF - NEAR && (even - now) * sign > 0
    const value = helps ? even : Math.max(-1, Math.min(1, hundredths(now + sign * STEP)))
    if (now * sign < FAR) found.push({ candidate, share, dial: 'balance', value })
    else if (other !== schedule.name && schedule.alpha > 0) found.push({ candidate, share, dial: 'schedule', value: other })
  }
  return found
}

/** @param {number} value */
const hundredths = (value) => Math.round(value * 100) / 100

/** @param {PlanDocument} document */
function accepts({ schedule, gamma, gammas, page, candidates, passes, slots }) {
  return (
    candidates.length === 2 && passes === 1 && typeof gamma?.mode === 'string' &&
    gammas !== null && typeof gammas === 'object' && gamma.mode in gammas &&
    isSchedule(schedule ?? {}, page.defaults) &&
    slots.every((slot) => Number.isFinite(slot.score_subject) && Number.isFinite(slot.score_style))
  )
}

/**
 * Whether S or S* can be evaluated with these numbers.
 * @param {Schedule} schedule @param {Record<string, any>} defaults
 */
function isSchedule({ name, alpha, beta, balance }, defaults) {
  const finite = [alpha, beta, balance].every(Number.isFinite)
  return finite && name in (defaults.beta ?? {}) && alpha >= 0 && beta >= 0 && !(name === 's*' && alpha === 0)
}

/**
 * The settings on the node; a schedule that another one has just replaced brings the page's defaults.
 * @param {import('../decision/decision.js').Read} read @param {PlanDocument} document
 * @returns {Settings}
 */
function settings(read, { schedule: ran, gamma, gammas, page: { defaults } }) {
  const name = read('schedule', ran.name)
  const same = name === ran.name
  const schedule = {
    name,
    alpha: Number(read('schedule.alpha', same ? ran.alpha : defaults.alpha)),
    beta: Number(read('schedule.beta', same ? ran.beta : defaults.beta[name])),
    balance: Number(read('balance', ran.balance))
  }
  const mode = read('gamma', gamma.mode)
  const usable = isSchedule(schedule, defaults)
  return { schedule: usable ? schedule : ran, gammaMode: mode in gammas ? mode : gamma.mode, beyond: !(name in defaults.beta) }
}

/** @param {Settings} one @param {Settings} other */
function same({ schedule: a, gammaMode }, { schedule: b, gammaMode: otherMode }) {
  const near = (/** @type {number} */ one, /** @type {number} */ other) => Math.abs(one - other) <= 1e-9
  const alike = near(a.alpha, b.alpha) && near(a.beta, b.beta) && near(a.balance, b.balance)
  return a.name === b.name && alike && gammaMode === otherMode
}

/** @param {Schedule} schedule */
const nameOf = ({ name }) => (name === 's*' ? 'S*' : 'S')

/** S as it stands: `S = 1.5 x + 0.5`, times 4**balance where that is not 1. @param {Schedule} schedule */
function formulaOf(schedule) {
  const { name, alpha, beta, balance } = schedule
  const inner = `${number(alpha)} x + ${number(beta)}`
  const factor = balance ? ` · ${number(4 ** balance)}` : ''
  const body = name === 's*' ? `(${inner}) mod ${number(alpha)}` : inner
  return `${nameOf(schedule)} = ${factor ? `(${body})${factor}` : body}`
}

/** @param {number} rho @param {import('./words.js').Words} words */
function rhoOf(rho, { styleZero, subjectZero }) {
  if (rho === Infinity) return styleZero
  return rho === -Infinity ? subjectZero : `rho ${number(rho)}`
}
