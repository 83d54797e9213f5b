// The trigger words of a loader's files, on the loader: a click puts them into the clipboard.

import { putOn } from './line.js'

/** @type {import('./line.js').Kind} */
const WORDS = { name: 'klora_words', height: 28, role: 'group', background: 'transparent', margin: 3 }
const SHOWS = 1200

/**
 * Offers the words of each file that says some.
 * @param {any} node @param {{ label: string, text: string }[]} offers @param {import('../view/words.js').Words} words
 */
export function offerWords(node, offers, words) {
  const fill = (/** @type {HTMLElement} */ line) => {
    Object.assign(line.style, { display: 'flex', gap: '6px', padding: '0' })
    line.replaceChildren(...offers.map((offer) => button(offer, words)))
  }
  putOn(node, WORDS, offers.length ? fill : null)
}

/** @param {{ label: string, text: string }} offer @param {import('../view/words.js').Words} words */
function button({ label, text }, words) {
  const button = document.createElement('button')
  const said = label ? `${label}: ${text}` : text
  button.type = 'button'
  button.textContent = said
  button.title = `${words.copy}\n${text}`
  Object.assign(button.style, {
    flex: '1 1 0', minWidth: '0', overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap', cursor: 'copy',
    padding: '2px 6px', border: '0', borderRadius: '5px', background: '#8884', color: 'inherit', font: 'inherit'
  })
  button.addEventListener('click', async () => {
    button.textContent = (await copied(text)) ? words.copied : said
    setTimeout(() => { button.textContent = said }, SHOWS)
  })
  return button
}

/** @param {string} text */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copiedByHand(text)
  }
}

/** By a page that came over plain http from another machine, where browsers have no clipboard. @param {string} text */
function copiedByHand(text) {
  const field = document.createElement('textarea')
  field.value = text
  Object.assign(field.style, { position: 'fixed', opacity: '0' })
  document.body.append(field)
  field.select()
  const done = document.execCommand('copy')
  field.remove()
  return done
}
