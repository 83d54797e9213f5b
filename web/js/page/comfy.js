// The host's page: the one place that imports from it.

// @ts-expect-error Served by the host, beside this pack's own files.
import { api as hostApi } from '../../../../scripts/api.js'
// @ts-expect-error As above.
import { app as hostApp } from '../../../../scripts/app.js'

/** The host's own classes: typed nowhere that this pack could refer to. @type {any} */
export const api = hostApi
/** @type {any} */
export const app = hostApp

const CLAIM = Symbol.for('KLoRA.page')

/**
 * Whether this copy of the pack is the page's first: two folders in custom_nodes can hold one each, and the
 * second would draw every map twice.
 * @param {string} url
 */
export function claimPage(url) {
  const page = /** @type {Record<symbol, string | undefined>} */ (/** @type {unknown} */ (globalThis))
  const first = page[CLAIM] ?? url
  page[CLAIM] = first
  if (first === url) return true
  console.warn(`K-LoRA is installed twice: ${first} is in use, ${url} does nothing. Remove one folder of the pack.`)
  return false
}
