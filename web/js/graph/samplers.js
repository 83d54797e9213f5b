// What the graph says of the runs that a node's model goes into: how many steps, and whether from full noise to
// the end. Only what is known counts: of any other node the steps are told by its run.

import { isActive, modelReach, sourceOf, upstreamOf, widgetValue } from './graph.js'

/**
 * @typedef {{ steps: number | null, whole: boolean, shape: string }} Samplers
 * @typedef {(name: string) => any} Asked
 */

// Core's schedules that give as many steps as asked for, from full noise on. Not ddim_uniform: it does neither.
const EVEN = ['simple', 'sgm_uniform', 'karras', 'exponential', 'beta', 'normal', 'linear_quadratic', 'kl_optimal']

/** @param {Asked} asked */
const denoisesAll = (asked) => asked('denoise') === 1

/**
 * Core's samplers with steps of their own: whether their settings mean a whole run.
 * @type {Map<string, (asked: Asked) => boolean>}
 */
const SAMPLERS = new Map([
  ['KSampler', denoisesAll],
  [
    'KSamplerAdvanced',
    (asked) =>
      asked('start_at_step') === 0 &&
      asked('end_at_step') >= asked('steps') &&
      asked('return_with_leftover_noise') === 'disable'
  ]
])

/**
 * Core's nodes that make the sigmas of a model's whole schedule.
 * @type {Map<string, (asked: Asked) => boolean>}
 */
const SCHEDULERS = new Map([
  ['BasicScheduler', denoisesAll],
  ['SDTurboScheduler', denoisesAll],
  ['BetaSamplingScheduler', () => true]
])

// What says nothing of the sigmas of a run.
const ASIDE = ['seed', 'noise_seed', 'control_after_generate', 'cfg', 'text', 'guidance']

/**
 * The first sampler that the model of `start` goes into. `steps` is null and `whole` false where they are not
 * known; `shape` changes with every setting that can change the sigmas of a run.
 * @param {any} start @param {any} rootGraph
 * @returns {Samplers}
 */
export function samplersOf(start, rootGraph) {
  const reached = modelReach(start, rootGraph)
  const sampler = firstOf([...reached].filter((node) => isActive(node) && isSampler(node)), rootGraph)
  return { ...read(sampler, rootGraph), shape: shapeOf(reached, rootGraph) }
}

/** @param {any} node */
const isSampler = (node) => sigmasSlot(node) >= 0 ? hasLatent(node) : SAMPLERS.has(node.type)
/** @param {any} node */
const hasLatent = (node) => node.outputs?.some((/** @type {any} */ output) => output.type === 'LATENT')
/** @param {any} node */
const sigmasSlot = (node) => node.inputs?.findIndex((/** @type {any} */ input) => input.type === 'SIGMAS') ?? -1

/**
 * The one that takes nothing from another; of several the one placed first.
 * @param {any[]} samplers @param {any} rootGraph
 */
function firstOf(samplers, rootGraph) {
  const first = samplers.filter((node) => {
    const above = upstreamOf(node, rootGraph)
    return !samplers.some((other) => other !== node && above.has(other))
  })
  return first.sort((a, b) => (a.order ?? 0) - (b.order ?? 0))[0] ?? null
}

/** @param {any} sampler @param {any} rootGraph @returns {{ steps: number | null, whole: boolean }} */
function read(sampler, rootGraph) {
  const unknown = { steps: null, whole: false }
  if (!sampler) return unknown
  const slot = sigmasSlot(sampler)
  const node = slot < 0 ? sampler : sourceOf(sampler, slot, rootGraph)?.node
  const isWhole = (slot < 0 ? SAMPLERS : SCHEDULERS).get(node?.type)
  if (!isWhole || !isActive(node)) return unknown
  const asked = (/** @type {string} */ name) => widgetValue(node, name, rootGraph)
  const steps = stepsOf(asked)
  const named = node.widgets?.some((/** @type {any} */ widget) => widget.name === 'scheduler')
  if (steps === null || (named && !EVEN.includes(asked('scheduler')))) return unknown
  return { steps, whole: isWhole(asked) }
}

/** The steps that are run: a part's own where only a part is run. @param {Asked} asked */
function stepsOf(asked) {
  const steps = asked('steps')
  if (!Number.isInteger(steps) || steps < 1) return null
  const [first, last] = [asked('start_at_step') ?? 0, Math.min(steps, asked('end_at_step') ?? steps)]
  return last > first ? last - first : null
}

/**
 * Every setting on the model's way and on that of the samplers' sigmas.
 * @param {Set<any>} reached @param {any} rootGraph
 */
function shapeOf(reached, rootGraph) {
  const nodes = new Set(reached)
  const makesSigmas = (/** @type {any} */ input) => ['SIGMAS', 'SAMPLER'].includes(input.type)
  for (const node of reached) for (const source of upstreamOf(node, rootGraph, makesSigmas)) nodes.add(source)
  return JSON.stringify([...nodes].map((node) => [node.id, node.mode, settingsOf(node, rootGraph)]))
}

/** @param {any} node @param {any} rootGraph */
function settingsOf(node, rootGraph) {
  const names = (node.widgets ?? []).map((/** @type {any} */ widget) => widget.name)
  const telling = names.filter((/** @type {string} */ name) => !ASIDE.includes(name))
  return telling.map((/** @type {string} */ name) => [name, plain(widgetValue(node, name, rootGraph))])
}

/** @param {any} value */
const plain = (value) => (['string', 'number', 'boolean'].includes(typeof value) ? value : null)
