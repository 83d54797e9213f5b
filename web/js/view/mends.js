// The two questions that people ask of a picture, each a button that mends it.

/**
 * A button for each mend of the state, as many as there are; those that are there keep the focus.
 * @param {HTMLElement} place @param {import('./telling.js').State} state @param {import('./words.js').Words} words
 */
export function showMends(place, { mends = [], plan }, words) {
  while (place.children.length > mends.length) place.lastChild?.remove()
  mends.forEach(({ candidate, share, label, value }, at) => {
    const button = place.children[at] ?? place.appendChild(document.createElement('button'))
    if (!(button instanceof HTMLButtonElement)) return
    button.type = 'button'
    button.textContent = words.mend(plan.candidates[candidate].label, label, value)
    button.title = words.mendMore(Math.round(share * 100))
  })
}
