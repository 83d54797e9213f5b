// Colours of the live map. The dark ones are klora_core/palette.py's; the light ones keep their roles.

const DARK = {
  subject: '#fbc14e',
  style: '#2b6ab3',
  background: '#14161b',
  panel: '#1d2027',
  band: '#2a2e38',
  grid: '#3a3f4b',
  muted: '#a2a8b4',
  text: '#eef0f4',
  // On amber and blue alike, whatever the theme.
  cursor: '#ffffff',
  cursorRim: '#14161b'
}

const LIGHT = {
  ...DARK,
  background: '#ffffff',
  panel: '#eceef2',
  band: '#e0e3ea',
  grid: '#c6cad3',
  muted: '#545b68',
  text: '#16181d'
}

// The page marks its root; older front ends mark the body.
const marked = () => [document.documentElement, document.body]

export const isDark = () => marked().some((element) => element.classList.contains('dark-theme'))

export const coloursNow = () => (isDark() ? DARK : LIGHT)

/** `#fbc14e` as [251, 193, 78]. */
export const rgb = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16))

/** Calls `changed` whenever the page's theme changes; returns the function that ends it. */
export function watchTheme(changed) {
  let dark = isDark()
  const observer = new MutationObserver(() => {
    if (isDark() === dark) return
    dark = !dark
    changed()
  })
  for (const element of marked()) observer.observe(element, { attributes: true, attributeFilter: ['class'] })
  return () => observer.disconnect()
}
