// What is said of a map: its header, the two lines below it, the text for those who can't see it.

import { mean, stretchesOf, winnersAt } from '../decision/decision.js'
import { familiesOf, nameInBlock } from '../decision/document.js'
import { columnIn, columnsIn, namesOf, whenOf, whoIn } from './words.js'

/**
 * `hint` names the word that says why no run uses the decision, or is null; `even` is the setting that would give
 * both roles half of the cells, null where there is none.
 * @typedef {'preview' | 'stale' | 'changed' | 'gone' | 'muted' | 'bypassed'} Hint
 * @typedef {{ dial: string, label: string, value: number }} Even
 * @typedef {{
 *   plan: import('../decision/document.js').PlanDocument,
 *   decision: import('../decision/decision.js').Decision,
 *   hint: Hint | null,
 *   even?: Even | null,
 *   mends?: (import('../decision/decision.js').Mend & { label: string })[],
 *   painting?: Painting | null
 * }} Shown
 * Where single LoRAs can be painted: `loras` are those, by label; `lora` is the one that is painted, by number, `row`
 * what its row says, and `why` the word for what keeps it from being painted.
 * @typedef {'elsewhere' | 'stack' | 'changed' | 'linked' | 'unreadable' | 'split'} Why
 * @typedef {import('../decision/decision.js').Row} Row
 * @typedef {{ loras: string[], lora: number | null, row: Row | null, why: Why | null }} Painting
 * The same with each candidate's shares and name.
 * @typedef {Shown & { shares: Float64Array[], names: string[] }} State
 * @typedef {import('./canvas/layout.js').Cell} Cell
 * @typedef {import('./words.js').Words} Words
 */

/** What the first candidate holds, with its family: `62 % subject`. @param {State} state @param {Words} words */
export function leading({ plan, shares }, words) {
  const [first] = familiesOf(plan.candidates)
  const share = first.members.reduce((sum, member) => sum + mean(shares[member]), 0)
  return words.share(namesOf([first], words)[0], Math.round(share * 100))
}

/**
 * The two lines of the whole map, or of the cell under the cursor, and the whole in one text.
 * @param {State} state @param {Cell | null} cursor @param {Words} words
 * @param {(cell: string) => [string, string] | null} painted the lines where a LoRA is painted, of the cell's strength
 */
export function tell(state, cursor, words, painted = () => null) {
  const { plan, decision } = state
  const count = plan.slots.length
  const columns = columnsIn(decision.columns, words)
  const facts = decision.supposed ? [...decision.facts, words.supposed] : decision.facts
  const course = decision.course?.(words.locale)
  const counted = [words.slots(count), columns, ...(course ? [decision.headline] : []), ...facts]
  let lines = [course ?? decision.headline, counted.join(' · ')]
  if (!count) lines = ['', words.empty]
  else if (cursor) lines = cell(state, cursor, words)
  const own = painted(cursor ? strengthAt(state, cursor) : '')
  if (own) return { lines: own, told: `${words.map}. ${own.join(' ')}` }
  const told = cursor ? lines.join('. ') : `${words.summary(count, columns, leading(state, words))} ${words.keys}`
  return { lines, told: `${words.map}. ${told}` }
}

/** @param {State} state @param {Cell} cell @param {Words} words */
function cell({ plan, decision, names }, { slot, column }, words) {
  const stretches = stretchesOf(decision, slot)
  const when = whenOf(stretches, decision.columns, names, words)
  const parts = [decision.about(slot, words.locale), when].filter(Boolean)
  if (stretches.length > 1) {
    const now = whoIn(winnersAt(decision, slot, column), names, words)
    parts.push(`${columnIn(decision.columns, column, words)}: ${now}`)
  }
  return [`${plan.slots[slot].block} · ${nameInBlock(plan.slots[slot])}`, parts.join(' · ')]
}

/** @param {State} state @param {Cell} cell */
const strengthAt = ({ plan, decision }, { slot }) => `${plan.slots[slot].block}: ${decision.about(slot, '') || 1}`

/**
 * A bar of the candidates' shares as a background; what they lack to 1 is `rest`.
 * @param {number[]} shares @param {string[]} colours @param {string} rest
 */
export function stripes(shares, colours, rest) {
  let end = 0
  const stops = shares.map((share, i) => {
    const start = end
    end += share * 100
    return `${colours[i]} ${start}% ${end}%`
  })
  stops.push(`${rest} ${end}% 100%`)
  return `linear-gradient(to right, ${stops.join(', ')})`
}
