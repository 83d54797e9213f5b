// What the live map says, in the page's language.

import { STYLE } from './maths.js'
import { blockOf, nameInBlock } from './order.js'

const EN = {
  title: 'Selection map',
  preview: 'preview, queue to apply',
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
  from: (role, step) => `${role} from ${step}`,
  to: (role, step) => `${role} to ${step}`,
  atStep: (step) => `step ${step}`,
  atProgress: (x) => `x = ${x}`,
  now: (role) => `now ${role}`,
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
  subject: '主体',
  style: '风格',
  step: '步',
  share: (role, percent) => `${role} ${percent}%`,
  always: 'rho ∞，风格 LoRA 在此层为零',
  never: 'rho 0，主体 LoRA 在此层为零',
  throughout: (role) => `全程使用${role}`,
  from: (role, step) => `从${step}起用${role}`,
  to: (role, step) => `到${step}为止用${role}`,
  atStep: (step) => `第 ${step} 步`,
  atProgress: (x) => ` x = ${x} `,
  now: (role) => `当前为${role}`,
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

/** When a slot switches: `style from step 12`; its runs joined by commas under S*. */
export function whenOf(runs, steps, byProgress, words) {
  const role = (winner) => (winner === STYLE ? words.style : words.subject)
  if (runs.length === 1) return words.throughout(role(runs[0].winner))
  const start = ({ first }) => (byProgress ? words.atProgress(number(first / steps)) : words.atStep(first + 1))
  const end = ({ last }) => (byProgress ? words.atProgress(number((last + 1) / steps)) : words.atStep(last + 1))
  const later = runs.slice(1).map((run) => words.from(role(run.winner), start(run)))
  // One switch says it all; with two, where it began would be a riddle.
  if (runs.length === 2) return later[0]
  return [words.to(role(runs[0].winner), end(runs[0])), ...later].join(', ')
}

export function rhoOf(rho, words) {
  if (rho === Infinity) return words.always
  if (rho === -Infinity) return words.never
  return words.rho(number(rho))
}
