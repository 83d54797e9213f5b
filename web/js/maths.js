// K-LoRA (arXiv 2502.18461, section 3.2) on the scores of a `klora-plan/1` document. Pure; the same
// arithmetic, in the same order, as klora_core/schedules.py, methods/klora.py and plan.py.

export const SCHEMA = 'klora-plan/1'
export const SUBJECT = 0
export const STYLE = 1
export const DEFAULT_ALPHA = 1.5
export const DEFAULT_BETA = { s: 0.5, 's*': 1.3 }
export const DEFAULT_STEPS = 30
const TRIM = 3

/** Whether S or S* can be evaluated with these numbers. */
export function isSchedule({ name, alpha, beta, balance }) {
  const finite = [alpha, beta, balance].every(Number.isFinite)
  return finite && name in DEFAULT_BETA && alpha >= 0 && beta >= 0 && !(name === 's*' && alpha === 0)
}

/** S(x) = alpha x + beta (Eq. 7) or S*(x) = (alpha x + beta) mod alpha, times 4**balance. */
export function scale({ name, alpha, beta, balance }, x) {
  let value = alpha * x + beta
  if (name === 's*') value %= alpha
  return value * 4 ** balance
}

/** Progress of step `step` of `steps`: the middle of its part of the run. */
export const stepProgress = (step, steps) => (step + 0.5) / steps

/** gamma: `paper` is Eq. 9, `reference` the trimmed mean of the published code, `none` is 1. */
export function gamma(slots, mode) {
  if (mode === 'none') return 1
  if (mode === 'reference') {
    return trimmedMean(slots.filter((s) => s.l1_style > 0).map((s) => s.l1_subject / s.l1_style))
  }
  const style = sum(slots.map((s) => s.l1_style))
  return style > 0 ? sum(slots.map((s) => s.l1_subject)) / style : 1
}

/** gamma under `mode`; the document's own number where the mode is the document's. */
export function gammaOf(plan, mode) {
  if (mode !== plan.gamma.mode) return gamma(plan.slots, mode)
  return plan.gamma.value ?? Infinity
}

/**
 * rho(l) = S_c(l) / (gamma S_s(l)) of each slot, Float64Array. A style of zero gives Infinity (also where
 * both are zero: the tie is the subject's), a subject of zero -Infinity (the style wins at S = 0 too).
 */
export function rhos(slots, gammaValue) {
  return Float64Array.from(slots, (slot) => {
    if (slot.score_style === 0) return Infinity
    if (slot.score_subject === 0) return -Infinity
    return slot.score_subject / (gammaValue * slot.score_style)
  })
}

/** S at the middle of each of `steps` steps, Float64Array. */
export const scales = (schedule, steps) =>
  Float64Array.from({ length: steps }, (_, i) => scale(schedule, stepProgress(i, steps)))

/** Eq. 10: who wins, Uint8Array [slots * steps], one row a slot. */
export function choices(rho, stepScales) {
  const steps = stepScales.length
  const chosen = new Uint8Array(rho.length * steps)
  for (let slot = 0, at = 0; slot < rho.length; slot++) {
    for (let step = 0; step < steps; step++, at++) {
      chosen[at] = rho[slot] >= stepScales[step] ? SUBJECT : STYLE
    }
  }
  return chosen
}

/** Share of the slots that use the style in each step, Float64Array; 0 without slots. */
export function shares(chosen, steps) {
  const share = new Float64Array(steps)
  const slots = chosen.length / steps
  if (!slots) return share
  for (let at = 0; at < chosen.length; at++) share[at % steps] += chosen[at]
  return share.map((count) => count / slots)
}

/** One slot's choices as runs: [{ winner, first, last }], steps from 0, both ends included. */
export function runs(chosen, slot, steps) {
  const found = []
  for (let step = 0; step < steps; step++) {
    const winner = chosen[slot * steps + step]
    const current = found[found.length - 1]
    if (current?.winner === winner) current.last = step
    else found.push({ winner, first: step, last: step })
  }
  return found
}

/** The decisions of `plan` under other settings and another number of steps. */
export function decide(plan, { schedule, gammaMode, steps }) {
  const gammaValue = gammaOf(plan, gammaMode)
  const rho = rhos(plan.slots, gammaValue)
  const stepScales = scales(schedule, steps)
  const chosen = choices(rho, stepScales)
  return { schedule, gammaMode, gamma: gammaValue, steps, rho, scales: stepScales, choices: chosen, shares: shares(chosen, steps) }
}

/** The settings that the document was made with. */
export const settingsOf = (plan) => ({ schedule: { ...plan.schedule }, gammaMode: plan.gamma.mode })

/** Whether two settings give the same decisions. */
export function sameSettings(one, other) {
  const near = (a, b) => Math.abs(a - b) <= 1e-9
  const { schedule: a } = one
  const { schedule: b } = other
  const schedules = a.name === b.name && ['alpha', 'beta', 'balance'].every((key) => near(a[key], b[key]))
  return schedules && one.gammaMode === other.gammaMode
}

function trimmedMean(ratios) {
  if (!ratios.length) return 1
  const mean = sum(ratios) / ratios.length
  const kept = ratios.filter((ratio) => ratio < TRIM * mean)
  return kept.length ? sum(kept) / kept.length : 1
}

const sum = (values) => values.reduce((total, value) => total + value, 0)
