// What the live map says, in the page's language.

import { number } from '../decision/decision.js'

/**
 * @typedef {import('../decision/columns.js').Columns} Columns
 * @typedef {import('../decision/decision.js').Stretch} Stretch
 */

/** The article before a base model's name as it is spoken. @param {string} name */
const articleOf = (name) => (/^(S\w*D|LTX|[AEIO])/.test(name) ? 'an' : 'a')

const EN = {
  locale: 'en',
  title: 'Selection map',
  preview: 'not yet run',
  stale: 'other LoRAs, not yet run',
  warning: 'warning inside',
  failed: 'the run failed',
  changed: 'changed, not yet run',
  gone: 'not kept, run again',
  muted: 'muted, not in use',
  bypassed: 'bypassed, not in use',
  /** @param {number} count @param {number} of */
  unseen: (count, of) => `${count} of ${of} changed layers did not run in the first evaluation, no LoRA worked there:`,
  /** @param {number} count @param {number} of */
  unseenWhole: (count, of) => `${count} of ${of} changed layers did not run in the last run, no LoRA worked there:`,
  place: 'After a run this map shows which LoRA each layer uses in each step.',
  /** @param {string} dial @param {number} value */
  even: (dial, value) => `auto: ${dial} ${number(value)}`,
  evenMore: 'Sets it so that each has half of the layers over the run.',
  /** @param {string} role @param {string} dial @param {number | string} value */
  mend: (role, dial, value) => `${role} ${role === 'style' ? 'weak' : 'lost'}? ${dial} ${value}`,
  /** @param {number} percent */
  mendMore: (percent) => `It has ${percent} % of the layers over the run now.`,
  /** @param {number} count @param {number} set @param {boolean} shown */
  advanced: (count, set, shown) => `${shown ? '▾' : '▸'} Advanced: ${count}${set ? `, ${set} changed` : ''}`,
  placeMore: 'Rows: layers, from input to output. Columns: steps. It then follows the settings at once.',
  step: 'step',
  x: 'x',
  shares: 'share',
  /** @type {Record<string, string>} */
  candidates: {},
  nobody: 'no LoRA',
  /** @param {string} name @param {number} percent */
  share: (name, percent) => `${percent} % ${name}`,
  /** @param {string} name */
  throughout: (name) => `${name} throughout`,
  /** @param {string} name @param {string} start */
  from: (name, start) => `${name} from ${start}`,
  /** @param {number} step */
  atStep: (step) => `step ${step}`,
  /** @param {string} x */
  atProgress: (x) => `x = ${x}`,
  /** @param {number} count */
  slots: (count) => `${count} slots`,
  /** @param {number} count */
  steps: (count) => `${count} steps`,
  byProgress: 'over progress x',
  supposed: 'each run counts its own steps',
  /** @param {number} count @param {boolean} byNoise */
  ofRun: (count, byNoise) => `the ${count} steps of the last run, by ${byNoise ? 'noise level' : 'steps'}`,
  /** @param {number} slots @param {string} columns @param {string} share */
  summary: (slots, columns, share) => `${slots} layer slots, ${columns}; ${share} of the cells.`,
  keys: 'Arrow keys move over slots and steps, Enter folds the map.',
  map: 'Selection map',
  empty: 'The LoRAs have no layer in common: nothing competes.',
  /** @param {string} file @param {string} lora @param {string} model */
  stranger: (file, lora, model) =>
    `${file} is ${articleOf(lora)} ${lora} LoRA, the model is ${model}: choose another LoRA or another model.`,
  /** @param {string} file */
  twice: (file) => `subject and style are the same file, ${file}: choose another for one of them.`,
  copy: 'copy the trigger words',
  copied: 'copied',
  moveUp: 'Move up in the row of sets',
  moveDown: 'Move down in the row of sets'
}

/** @typedef {typeof EN} Words */

/** @type {Words} */
const ZH = {
  locale: 'zh',
  title: '选择图',
  preview: '尚未运行',
  stale: 'LoRA 已更换，尚未运行',
  warning: '内有警告',
  failed: '运行失败',
  changed: '已更改，尚未运行',
  gone: '未保留，请再运行',
  muted: '已静音，不起作用',
  bypassed: '已绕过，不起作用',
  unseen: (count, of) => `被更改的 ${of} 层中有 ${count} 层在首次求值中没有运行，LoRA 在那里没有起作用：`,
  unseenWhole: (count, of) => `被更改的 ${of} 层中有 ${count} 层在上次运行中没有运行，LoRA 在那里没有起作用：`,
  place: '运行一次后，这里显示每一层在每一步用哪个 LoRA。',
  even: (dial, value) => `自动：${dial} ${number(value)}`,
  evenMore: '设为让两者在整个运行中各占一半的层的值。',
  mend: (role, dial, value) => `${role === 'style' ? '风格太弱' : '主体丢了'}？${dial} ${value}`,
  mendMore: (percent) => `现在它在整个运行中占 ${percent}% 的层。`,
  advanced: (count, set, shown) => `${shown ? '▾' : '▸'} 高级：${count} 项${set ? `，已更改 ${set} 项` : ''}`,
  placeMore: '行是层，从输入到输出；列是步数。之后改设置，图立即跟着变。',
  step: '步',
  x: 'x',
  shares: '占比',
  candidates: { subject: '主体', style: '风格', 'decided by the picture': '由画面决定' },
  nobody: '不用 LoRA',
  share: (name, percent) => `${name} ${percent}%`,
  throughout: (name) => `全程使用${name}`,
  from: (name, start) => `从${start}起用${name}`,
  atStep: (step) => `第 ${step} 步`,
  atProgress: (x) => ` x = ${x} `,
  slots: (count) => `${count} 个槽位`,
  steps: (count) => `${count} 步`,
  byProgress: '按进度 x',
  supposed: '步数按每次运行各自计算',
  ofRun: (count, byNoise) => `上次运行的 ${count} 步，${byNoise ? '按噪声水平' : '按步数'}`,
  summary: (slots, columns, share) => `${slots} 个层槽位，${columns}；格子中${share}。`,
  keys: '方向键在槽位与步数间移动，回车折叠选择图。',
  map: '选择图',
  empty: '这些 LoRA 没有共同的层，无可竞争。',
  stranger: (file, lora, model) => `${file} 是 ${lora} 的 LoRA，而模型是 ${model}：请换一个 LoRA 或模型。`,
  twice: (file) => `主体与风格是同一文件 ${file}：请为其中之一另选文件。`,
  copy: '复制触发词',
  copied: '已复制',
  moveUp: '在 LoRA 组中上移',
  moveDown: '在 LoRA 组中下移'
}

/** @type {Words} */
const JA = {
  locale: 'ja',
  title: '選択マップ',
  preview: '未実行',
  stale: 'LoRA 変更後、未実行',
  warning: '警告あり',
  failed: '実行に失敗しました',
  changed: '設定変更後、未実行',
  gone: '保存なし、再実行で表示',
  muted: 'ミュート中、使われません',
  bypassed: 'バイパス中、使われません',
  unseen: (count, of) => `変更される ${of} レイヤーのうち ${count} が最初の評価で動かず、LoRA が働いていません:`,
  unseenWhole: (count, of) => `変更される ${of} レイヤーのうち ${count} が前回の実行で動かず、LoRA が働いていません:`,
  even: (dial, value) => `自動: ${dial} ${number(value)}`,
  evenMore: '実行全体でレイヤーを半分ずつ取る値にします。',
  mend: (role, dial, value) => `${role === 'style' ? 'スタイルが弱い' : '被写体が失われる'}？ ${dial} ${value}`,
  mendMore: (percent) => `今は実行全体でレイヤーの ${percent}% です。`,
  place: '実行すると、各レイヤーが各ステップでどの LoRA を使うかをここに表示します。',
  advanced: (count, set, shown) => `${shown ? '▾' : '▸'} 詳細設定: ${count}${set ? `(変更 ${set})` : ''}`,
  placeMore: '行はレイヤー(入力から出力へ)、列はステップ。その後は設定の変更にすぐ追従します。',
  step: 'ステップ',
  x: 'x',
  shares: '割合',
  candidates: { subject: '被写体', style: 'スタイル', 'decided by the picture': '画像しだい' },
  nobody: 'LoRA なし',
  share: (name, percent) => `${name} ${percent} %`,
  throughout: (name) => `常に${name}`,
  from: (name, start) => `${start} から${name}`,
  atStep: (step) => `ステップ ${step}`,
  atProgress: (x) => `x = ${x}`,
  slots: (count) => `${count} スロット`,
  steps: (count) => `${count} ステップ`,
  byProgress: '進行度 x',
  supposed: 'ステップは実行ごとに数えます',
  ofRun: (count, byNoise) => `前回の実行の ${count} ステップ(${byNoise ? 'ノイズ量' : 'ステップ'}で計算)`,
  summary: (slots, columns, share) => `レイヤースロット ${slots}、${columns}。マスの割合は${share}。`,
  keys: '矢印キーでスロットとステップを移動、Enter でマップを折りたたみます。',
  map: '選択マップ',
  empty: 'LoRA に共通のレイヤーがなく、競うものがありません。',
  stranger: (file, lora, model) => `${file} は ${lora} 用の LoRA ですが、モデルは ${model} です。LoRA かモデルを選び直してください。`,
  twice: (file) => `被写体とスタイルが同じファイル ${file} です。どちらかを選び直してください。`,
  copy: 'トリガーワードをコピー',
  copied: 'コピーしました',
  moveUp: 'LoRA セットの並びで上へ',
  moveDown: 'LoRA セットの並びで下へ'
}

/** @type {Record<string, Words>} */
const TRANSLATED = { zh: ZH, 'zh-CN': ZH, ja: JA }

/**
 * The words for a locale of the page such as `en`, `zh` or `zh-TW` (which falls back to English).
 * @param {string} locale @returns {Words}
 */
export const wordsFor = (locale) => TRANSLATED[locale] ?? EN

/**
 * The candidates' names; of several at once each is translated.
 * @param {{ label: string }[]} candidates @param {Words} words
 */
export const namesOf = (candidates, words) => candidates.map(({ label }) => nameOf(label, words))

/** @param {string} label @param {Words} words */
const nameOf = (label, { candidates }) => label.replace(/[a-z]+/g, (word) => candidates[word] ?? word)

/** What the columns are. @param {Columns} columns @param {Words} words */
export function columnsIn({ kind, count, run }, words) {
  if (run) return words.ofRun(count, run === 'noise level')
  return kind === 'steps' ? words.steps(count) : words.byProgress
}

/**
 * Who the passes use: `subject`, or `subject + style` where there are several.
 * @param {number[]} winners @param {string[]} names @param {Words} words
 */
export const whoIn = (winners, names, words) => winners.map((winner) => names[winner] ?? words.nobody).join(' + ')

/**
 * When a slot switches: `style from step 12`; with more switches `style 1-4, subject 5-11, style 12-30`.
 * @param {Stretch[]} stretches @param {Columns} columns @param {string[]} names @param {Words} words
 */
export function whenOf(stretches, { kind, count }, names, words) {
  const who = (/** @type {Stretch} */ { winners }) => whoIn(winners, names, words)
  const x = (/** @type {number} */ column) => number(column / count)
  if (stretches.length === 1) return words.throughout(who(stretches[0]))
  if (stretches.length === 2) {
    const { first } = stretches[1]
    return words.from(who(stretches[1]), kind === 'steps' ? words.atStep(first + 1) : words.atProgress(x(first)))
  }
  const span = (/** @type {Stretch} */ { first, last }) => {
    if (kind === 'progress') return `${x(first)}-${x(last + 1)}`
    return first === last ? `${first + 1}` : `${first + 1}-${last + 1}`
  }
  return stretches.map((stretch) => `${who(stretch)} ${span(stretch)}`).join(', ')
}

/**
 * A column: `step 3`, with its x where a run counted unevenly.
 * @param {Columns} columns @param {number} column @param {Words} words
 */
export function columnIn({ kind, xs, run, count }, column, words) {
  if (kind === 'progress') return words.atProgress(number((column + 0.5) / count))
  const step = words.atStep(column + 1)
  return run === 'noise level' ? `${step} (x = ${xs[column].toFixed(2)})` : step
}
