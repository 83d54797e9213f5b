// The base model's file that a loader's LoRAs are for, where the graph tells it.

import { allNodes, upstreamOf, widgetValue } from './graph.js'

/** Where the files of core's loaders lie, by their widget. @type {Record<string, string>} */
const FOLDERS = { ckpt_name: 'checkpoints', unet_name: 'diffusion_models' }
const MODEL = 'MODEL'
// On their way no LoRA comes.
const ASIDE = [MODEL, 'CLIP']

/**
 * The one file behind the model that the LoRAs of `loader` meet; null where there is none, or more than one.
 * @param {any} loader @param {any} rootGraph @returns {{ folder: string, model: string } | null}
 */
export function modelFileFor(loader, rootGraph) {
  /** @type {Map<string, { folder: string, model: string }>} */
  const found = new Map()
  for (const node of allNodes(rootGraph)) {
    if (!node.inputs?.some((/** @type {any} */ { type }) => type === MODEL)) continue
    if (!upstreamOf(node, rootGraph, (input) => !ASIDE.includes(input.type)).has(loader)) continue
    for (const source of upstreamOf(node, rootGraph, (input) => input.type === MODEL)) {
      for (const file of filesOf(source, rootGraph)) found.set(JSON.stringify(file), file)
    }
  }
  return found.size === 1 ? [...found.values()][0] : null
}

/** @param {any} node @param {any} rootGraph */
function* filesOf(node, rootGraph) {
  for (const { name } of node.widgets ?? []) {
    const model = name in FOLDERS ? widgetValue(node, name, rootGraph) : null
    if (typeof model === 'string') yield { folder: FOLDERS[name], model }
  }
}
