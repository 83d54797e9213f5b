// Colours of the map: the document brings them for both themes, the page says which one it is in.

/**
 * @typedef {import('../../decision/document.js').PlanDocument} PlanDocument
 * The palette's roles, and one colour a candidate.
 * @typedef {Record<string, string> & { candidates: string[] }} Colours
 */

// The page marks its root: by a class, newer front ends by the colour scheme alone; older ones mark the body.
const marked = () => [document.documentElement, document.body]

export const isDark = () =>
  marked().some((element) => element.classList.contains('dark-theme') || element.style.colorScheme === 'dark')

/** @param {PlanDocument} plan @returns {Colours} */
export function coloursNow({ page: { palette }, candidates }) {
  const theme = isDark() ? 'dark' : 'light'
  const own = { candidates: candidates.map((candidate) => candidate[theme]) }
  return /** @type {Colours} */ ({ ...palette[theme], ...own })
}

/** `#fbc14e` as [251, 193, 78]. @param {string} colour */
export const rgb = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16))

/**
 * Calls `changed` whenever the page's theme changes; returns the function that ends it.
 * @param {() => void} changed
 */
export function watchTheme(changed) {
  let dark = isDark()
  const observer = new MutationObserver(() => {
    if (isDark() === dark) return
    dark = !dark
    changed()
  })
  for (const element of marked()) observer.observe(element, { attributes: true, attributeFilter: ['class', 'style'] })
  return () => observer.disconnect()
}
