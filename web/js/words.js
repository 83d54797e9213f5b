// What the live map says, in the page's language.

import { STYLE } from './maths.js'
import { blockOf, nameInBlock } from './order.js'

const EN = {
  title: 'Selection map',
  preview: 'preview, queue to apply',
  stale: 'other LoRAs, queue to score',
  subject: 'subject',
  style: 'style',
  step: 'step',
  progress: 'x',
  x: 'x',
  share: (role, percent) => `${percent} % ${role}`,
  rho: (value) => `rho ${value}`,
  always: 'rho ∞, the style LoRA is zero here',
  never: 'rho 0, the subject LoRA is zero here',
  throughout: (role) => `${role} throughout`,
  from: (role, start) => `${role} from ${start}`,
  atStep: (step) => `step ${step}`,
  atProgress: (x) => `x = ${x}`,
  summary: (slots, steps, subject) =>
    `${slots} layer slots, ${steps} steps; the subject LoRA holds ${subject} % of the cells.`,
  facts: (slots, steps, gamma, mode) => `${slots} slots · ${steps} steps · gamma ${gamma} (${mode})`,
  factsProgress: (slots, gamma, mode) => `${slots} slots · by noise level · gamma ${gamma} (${mode})`,
  keys: 'Arrow keys move over slots and steps, Enter folds the map.',
  map: 'Selection map',
  empty: 'The two LoRAs have no layer in common: nothing competes.'
}

const ZH = {
  ...EN,
  title: '选择图',
  preview: '预览中，运行后生效',
  stale: 'LoRA 已更换，运行后重新评分',
  subject: '主体',
  style: '风格',
  step: '步',
  share: (role, percent) => `${role} ${percent}%`,
  always: 'rho ∞，风格 LoRA 在此层为零',
  never: 'rho 0，主体 LoRA 在此层为零',
  throughout: (role) => `全程使用${role}`,
  from: (role, start) => `从${start}起用${role}`,
  atStep: (step) => `第 ${step} 步`,
  atProgress: (x) => ` x = ${x} `,
  summary: (slots, steps, subject) => `${slots} 个层槽位，${steps} 步；主体 LoRA 占 ${subject}% 的格子。`,
  facts: (slots, steps, gamma, mode) => `${slots} 个槽位 · ${steps} 步 · gamma ${gamma}（${mode}）`,
  factsProgress: (slots, gamma, mode) => `${slots} 个槽位 · 按噪声水平 · gamma ${gamma}（${mode}）`,
  keys: '方向键在槽位与步数间移动，回车折叠选择图。',
  map: '选择图',
  empty: '两个 LoRA 没有共同的层，无可竞争。'
}

/** The words for a locale of the page such as `en`, `zh` or `zh-TW` (which falls back to English). */
export const wordsFor = (locale) => (locale === 'zh' || locale === 'zh-CN' ? ZH : EN)

export const number = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(4))) : '∞')

/** S as it stands: `S = 1.5 x + 0.5`, times 4**balance where that is not 1. */
export function formulaOf({ name, alpha, beta, balance }) {
  const inner = `${number(alpha)} x + ${number(beta)}`
  const factor = balance ? ` · ${number(4 ** balance)}` : ''
  const body = name === 's*' ? `(${inner}) mod ${number(alpha)}` : inner
  return `${name === 's*' ? 'S*' : 'S'} = ${factor ? `(${body})${factor}` : body}`
}

/** Where a slot is: ['down 4', '1.transformer_blocks.0.attn1.to_q']. */
export function whereOf(slot) {
  return [blockOf(slot.name).block, nameInBlock(slot.name)]
}

/** When a slot switches: `style from step 12`; under S* `style 1-4, subject 5-11, style 12-30`. */
export function whenOf(runs, steps, byProgress, words) {
  const role = (winner) => (winner === STYLE ? words.style : words.subject)
  const x = (step) => number(step / steps)
  if (runs.length === 1) return words.throughout(role(runs[0].winner))
  if (runs.length === 2) {
    const { winner, first } = runs[1]
    return words.from(role(winner), byProgress ? words.atProgress(x(first)) : words.atStep(first + 1))
  }
  const span = ({ first, last }) => {
    if (byProgress) return `${x(first)}-${x(last + 1)}`
    return first === last ? `${first + 1}` : `${first + 1}-${last + 1}`
  }
  return runs.map((run) => `${role(run.winner)} ${span(run)}`).join(', ')
}

export function rhoOf(rho, words) {
  if (rho === Infinity) return words.always
  if (rho === -Infinity) return words.never
  return words.rho(number(rho))
}
