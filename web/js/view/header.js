// What stands above the map: its name, why no run uses it, what went wrong, and what it holds; and its colours.

import { mean } from '../decision/decision.js'
import { coloursNow } from './canvas/theme.js'
import { leading, stripes } from './telling.js'

/**
 * `error` says why the last run failed, `missing` what did not work in it; `unfolded`: all that is said is shown, not
 * its first line alone.
 * @typedef {{ hint: import('./telling.js').Hint | null, error: string, missing: string, unfolded: boolean }} Said
 * @typedef {ReturnType<typeof import('./dom.js').build>} Parts
 * @typedef {import('./words.js').Words} Words
 */

/**
 * @param {Parts} parts @param {Words} words
 * @param {Said & { state: import('./telling.js').State | null, open: boolean }} above
 */
export function showHeader(parts, words, { state, hint, open, error, missing, unfolded }) {
  const { root, title, header, warning } = parts
  const said = [missing, ...(state?.plan.page.said ?? [])].filter(Boolean)
  const inside = error ? words.failed : said.length ? words.warning : ''
  title.textContent = words.title
  header.title = parts.hint.textContent = hint ? words[hint] : open ? '' : inside
  parts.error.textContent = parts.error.title = error
  const more = said.length > 1 ? ` (+${said.length - 1})` : ''
  warning.textContent = unfolded ? said.join('\n') : said.length ? said[0] + more : ''
  warning.title = said.join('\n')
  warning.setAttribute('aria-expanded', String(unfolded))
  root.toggleAttribute('data-empty', !state)
  root.toggleAttribute('data-aside', hint === 'muted' || hint === 'bypassed')
  if (state) showColours(parts, state, words)
}

/**
 * What comes with the document: its colours, and what the first candidate holds.
 * @param {Parts} parts @param {import('./telling.js').State} state @param {Words} words
 */
function showColours({ root, bar, shareText }, state, words) {
  const { plan, shares } = state
  const { candidates, background, text, muted, band } = coloursNow(plan)
  shareText.textContent = leading(state, words)
  bar.style.background = stripes(shares.map(mean), candidates, band)
  const hinted = { hint: candidates[0], 'hint-text': plan.page.palette.dark.background }
  for (const [name, colour] of Object.entries({ background, text, muted, band, ...hinted })) {
    root.style.setProperty(`--klora-${name}`, colour)
  }
}
