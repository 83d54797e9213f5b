// A long-lived answerer: a line of JSON on stdin is a batch, a list of { task, ... }; a line on stdout its results,
// or the stack of the first task that threw. What is thrown behind a task's back ends node, as it always does.

import { createInterface } from 'node:readline'

/** @param {Record<string, (asked: any) => any>} tasks by name */
export async function answer(tasks) {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await told(tasks, line), plain)}\n`)
  }
}

/** @param {Record<string, (asked: any) => any>} tasks @param {string} line */
async function told(tasks, line) {
  try {
    return { results: await Promise.all(JSON.parse(line).map((/** @type {any} */ asked) => tasks[asked.task](asked))) }
  } catch (error) {
    return { error: error instanceof Error ? error.stack : String(error) }
  }
}

/** Infinities come back as text. @param {string} _ @param {any} value */
function plain(_, value) {
  if (ArrayBuffer.isView(value)) return Array.from(/** @type {any} */ (value))
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value
}
