// The base model's file that a loader's LoRAs are for, where the graph tells it.

import { allNodes, carriesLoras, upstreamOf, widgetValue } from './graph.js'

/** Where the files of core's loaders lie, by their widget. @type {Record<string, string>} */
const FOLDERS = { ckpt_name: 'checkpoints', unet_name: 'diffusion_models' }
const MODEL = 'MODEL'
const LORAS = ['LORA_MODEL', 'LORA_SET']

/**
 * The one file behind the model that the LoRAs of `loader` meet; null where there is none, or more than one.
 * @param {any} loader @param {any} rootGraph @returns {{ folder: string, model: string } | null}
 */
export function modelFileFor(loader, rootGraph) {
  /** @type {Map<string, { folder: string, model: string }>} */
  const found = new Map()
  for (const node of allNodes(rootGraph)) {
    const types = (node.inputs ?? []).map((/** @type {any} */ { type }) => type)
    if (!types.includes(MODEL) || !LORAS.some((type) => types.includes(type))) continue
    if (!upstreamOf(node, rootGraph, carriesLoras).has(loader)) continue
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
