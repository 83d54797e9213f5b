// The buttons below the map that name a setting: the one that divides it evenly, and what gives a LoRA more.

import { buttonsIn } from './dom.js'

/**
 * @typedef {import('./telling.js').State} State
 * @typedef {{ dial: string, value: number | string }} Setting
 * @typedef {ReturnType<typeof import('./dom.js').build>} Parts
 */

/**
 * Calls `onSet` with the setting of a button that is pressed.
 * @param {Parts} parts @param {() => State | null} stateOf @param {(set: Setting) => void} onSet @param {AbortSignal} signal
 */
export function listenToButtons({ even, mends }, stateOf, onSet, signal) {
  const ask = (/** @type {Setting | null | undefined} */ set) => set && onSet(set)
  even.addEventListener('click', () => ask(stateOf()?.even), { signal })
  mends.addEventListener('click', ({ target }) => {
    const at = target instanceof HTMLElement ? [...mends.children].indexOf(target) : -1
    ask(stateOf()?.mends?.[at])
  }, { signal })
  for (const buttons of [even, mends]) buttons.addEventListener('keydown', (event) => event.stopPropagation(), { signal })
}

/** @param {Parts} parts @param {State} state @param {import('./words.js').Words} words */
export function showButtons({ even, mends }, { even: half, mends: asked = [], plan }, words) {
  even.textContent = half ? words.even(half.label, half.value) : ''
  even.title = words.evenMore
  buttonsIn(mends, asked).forEach((button, at) => {
    const { candidate, share, label, value } = asked[at]
    button.textContent = words.mend(plan.candidates[candidate].label, label, value)
    button.title = words.mendMore(Math.round(share * 100))
  })
}
