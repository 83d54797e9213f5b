// A prompt as the server got it, beside the graph as it is now. Pure.

import { allFilesAbove, isFile, ownWidgets } from './widgets.js'

/**
 * Whether a node's widgets, all but `but`, and the files before it are those that a prompt was queued with. What a
 * link gave is not compared.
 * @param {any} node @param {string} executionId @param {any} prompt @param {any} rootGraph @param {string[]} but
 */
export function isAsAsked(node, executionId, prompt, rootGraph, but) {
  const inputs = prompt[executionId]?.inputs
  if (!inputs) return false
  const isSame = (/** @type {any} */ { name, value }) =>
    but.includes(name) || !(name in inputs) || Array.isArray(inputs[name]) || inputs[name] === value
  const now = new Set(allFilesAbove(node, rootGraph))
  const then = new Set(filesBefore(prompt, executionId))
  return ownWidgets(node).every(isSame) && now.size === then.size && [...now].every((file) => then.has(file))
}

/** The files that the nodes before one name in a prompt. @param {any} prompt @param {string} executionId @returns {string[]} */
function filesBefore(prompt, executionId) {
  const seen = new Set([executionId])
  for (const id of seen) {
    for (const value of Object.values(prompt[id]?.inputs ?? {})) if (Array.isArray(value)) seen.add(String(value[0]))
  }
  seen.delete(executionId)
  return [...seen].flatMap((id) => Object.values(prompt[id]?.inputs ?? {})).filter(isFile)
}
