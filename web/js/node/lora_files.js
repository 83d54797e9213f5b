// What a loader's files say of themselves, on the loader: its outputs for words and base model show their values, a
// click copies the words, and a line says where a file is for another base model than the one it meets.

import { HINT, sayOn } from './line.js'
import { modelFileFor } from '../graph/model_file.js'
import { watchWidgets } from '../graph/widgets.js'

const ROUTE = '/klora/lora?name='
const LONGEST = 40
const OUTPUT = 2

/**
 * The loaders: the widgets of their files, and the output that shows each one's words.
 * @type {Record<string, Record<string, string>>}
 */
const LOADERS = {
  KLoRALoadLora: { lora_name: 'trigger_words' },
  KLoRALoadPair: { subject_lora: 'subject_words', style_lora: 'style_words' }
}
const BASE = 'base_model'

/**
 * Keeps a loader telling what its files say: the function that looks again, null for any other node.
 * @param {any} node @param {any} api @param {any} app @param {import('../view/words.js').Words} words
 * @param {import('./trigger_words.js').TriggerWords} copies
 */
export function tellFiles(node, api, app, words, copies) {
  const files = LOADERS[node.comfyClass]
  if (!files) return null
  const watched = new WeakSet()
  let seen = ''
  const look = async () => {
    watchWidgets(node, watched, look)
    const inputs = Object.keys(files)
    const names = inputs.map((name) => valueOf(node, name))
    const model = node.graph ? modelFileFor(node, app.rootGraph) : null
    const now = JSON.stringify([names, model])
    if (now === seen) return
    seen = now
    const told = await Promise.all(names.map((name) => fileOf(api, name, model)))
    if (now !== seen) return
    if (told.includes(null)) seen = ''
    sayOn(node, HINT, hints(inputs, names, told, words).join(' '))
    copies.keep(node, new Map(inputs.flatMap((input, i) => told[i]?.trigger_words ? [[files[input], told[i].trigger_words]] : [])))
    Object.values(files).forEach((output, i) => label(node, output, told[i]?.trigger_words))
    const bases = told.map((each) => each?.base_model).filter(Boolean)
    label(node, BASE, [...new Set(bases)].join(' / '))
    // Nodes 2.0 looks at labels when it is told to, the canvas when it draws.
    node.graph?.trigger?.('node:slot-label:changed', { nodeId: node.id, slotType: OUTPUT })
    app.canvas?.setDirty?.(true, true)
  }
  return look
}

/**
 * What would go wrong in a run, a sentence each.
 * @param {string[]} inputs @param {string[]} names @param {any[]} told @param {import('../view/words.js').Words} words
 */
function hints(inputs, names, told, words) {
  const twice = names.filter((name, i) => name && names.indexOf(name) < i).map(words.twice)
  const strangers = names.flatMap((name, i) => {
    const { fits, base_model: base, model } = told[i] ?? {}
    const role = inputs[i].match(/^(subject|style)_/)?.[1]
    const file = role ? `${words.candidates[role] ?? role}: ${name}` : name
    return fits === false ? [words.stranger(file, base, model)] : []
  })
  return [...twice, ...strangers]
}

/** @param {any} node @param {string} name */
const valueOf = (node, name) => node.widgets?.find((/** @type {any} */ widget) => widget.name === name)?.value

/** @param {any} api @param {unknown} name @param {{ folder: string, model: string } | null} model @returns {Promise<any>} */
async function fileOf(api, name, model) {
  if (typeof name !== 'string' || !name) return null
  try {
    const beside = model ? `&${new URLSearchParams(model)}` : ''
    const answer = await api.fetchApi(ROUTE + encodeURIComponent(name) + beside)
    return answer.ok ? await answer.json() : null
  } catch {
    // A server that is restarting tells nothing; the next look asks again.
    return null
  }
}

/** @param {any} node @param {string} name @param {string | undefined} value */
function label(node, name, value) {
  const slot = node.outputs?.findIndex((/** @type {any} */ one) => one.name === name) ?? -1
  if (slot < 0) return
  const output = node.outputs[slot]
  const short = value && value.length > LONGEST ? `${value.slice(0, LONGEST)}…` : value
  output.label = short ? `${output.localized_name ?? name}: ${short}` : undefined
  // Nodes 2.0 draws an output again where it is another object; where links are no part of it, it follows by itself.
  if (output.constructor !== Object && Object.hasOwn(output, 'links')) node.outputs[slot] = new output.constructor(output, node)
}
