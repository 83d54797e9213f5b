// What is said of painting on the map, in the page's language.

const EN = {
  locale: 'en',
  /** @param {string} name */
  paint: (name) => `paint ${name}`,
  strength: 'The strength that a stroke gives to blocks',
  /** @param {string} name @param {string} blocks @param {number} start @param {number} end */
  row: (name, blocks, start, end) => `${name}: ${blocks ? `blocks ${blocks}` : 'all blocks alike'}, ${start} to ${end} of the run`,
  how: 'Drag over rows: blocks. Over the axis below: start and end. Keys: Space + - [ ] Delete Escape.',
  /** @param {string} name */
  elsewhere: (name) => `${name} comes from another node than LoRA Set: connect a LoRA Set to paint it.`,
  /** @param {string} name */
  stack: (name) => `${name} comes by a LoRA stack: load it into a LoRA Set of its own to paint it.`,
  /** @param {string} name */
  changed: (name) => `The LoRAs are others than in the last run: run once, then paint ${name}.`,
  /** @param {string} name */
  linked: (name) => `A link says start, end, curve or blocks of ${name}: set them at its other end, or remove it.`,
  /** @param {string} name */
  unreadable: (name) => `What blocks and curve of ${name} say is not known yet: correct them, or run once.`,
  /** @param {string} name */
  split: (name) => `blocks of ${name} names half of the network, and that takes blocks apart: empty it to paint.`
}

/** @typedef {typeof EN} BrushWords */

/** @type {BrushWords} */
const ZH = {
  locale: 'zh',
  paint: (name) => `涂${name}`,
  strength: '每一笔给块的强度',
  row: (name, blocks, start, end) => `${name}：${blocks ? `块 ${blocks}` : '各块相同'}，运行的 ${start} 到 ${end}`,
  how: '在行上拖动：块。在下方的轴上拖动：开始与结束。按键：空格 + - [ ] Delete Escape。',
  elsewhere: (name) => `${name}不是来自 LoRA 组节点：要涂它，请连接一个 LoRA 组。`,
  stack: (name) => `${name}来自 LoRA 堆：要涂它，请用单独的 LoRA 组加载。`,
  changed: (name) => `LoRA 与上次运行的不同：先运行一次，再涂${name}。`,
  linked: (name) => `${name}的开始、结束、曲线或块由连线给出：请在另一端设置，或断开连线。`,
  unreadable: (name) => `${name}的块与曲线还读不懂：请改正，或先运行一次。`,
  split: (name) => `${name}的块写的是网络的一半，会把块拆开：先清空再涂。`
}

/** @type {BrushWords} */
const JA = {
  locale: 'ja',
  paint: (name) => `${name}を塗る`,
  strength: '一筆でブロックに与える強さ',
  row: (name, blocks, start, end) => `${name}: ${blocks ? `ブロック ${blocks}` : '全ブロック同じ'}、実行の ${start} から ${end} まで`,
  how: '行をドラッグ: ブロック。下の軸をドラッグ: 開始と終了。キー: Space + - [ ] Delete Escape。',
  elsewhere: (name) => `${name}は LoRA セット以外のノードから来ています。塗るには LoRA セットを接続してください。`,
  stack: (name) => `${name}は LoRA スタックから来ています。塗るには専用の LoRA セットで読み込んでください。`,
  changed: (name) => `LoRA が前回の実行と違います。一度実行してから${name}を塗ってください。`,
  linked: (name) => `${name}の開始、終了、カーブ、ブロックがリンクで決まっています。先方で設定するかリンクを外してください。`,
  unreadable: (name) => `${name}のブロックとカーブはまだ読めません。直すか、一度実行してください。`,
  split: (name) => `${name}のブロックはネットワークの半分を指し、ブロックを分けています。空にしてから塗ってください。`
}

/** @type {Record<string, BrushWords>} */
const TRANSLATED = { zh: ZH, ja: JA }

/** @param {string} locale @returns {BrushWords} */
export const wordsFor = (locale) => TRANSLATED[locale] ?? EN
