// What the methods say of a slot in words of their own, in the page's language.

const EN = {
  locale: 'en',
  styleZero: 'rho ∞, the style LoRA is zero here',
  subjectZero: 'rho 0, the subject LoRA is zero here',
  steps: {
    /** @param {string} column */
    one: (column) => `step ${column}`,
    /** @param {string} first @param {string} last */
    two: (first, last) => `steps ${first} and ${last}`
  },
  way: {
    /** @param {string} share */
    one: (share) => `${share} of the way`,
    /** @param {string} first @param {string} last */
    two: (first, last) => `${first} and ${last} of the way`
  },
  all: 'all layers',
  nearlyAll: 'nearly all layers',
  /** @param {string} rest */
  nowhere: (rest) => `The style takes over nowhere${rest}`,
  /** @param {string} share */
  butFor: (share) => `, but for ${share} of the layers at the end`,
  /** @param {string} all */
  beginning: (all) => `The style has ${all} from the beginning`,
  /** @param {string} when @param {string} all */
  atOnce: (when, all) => `The style takes over at ${when}, in ${all} at once`,
  /** @param {string} when @param {string} rest */
  fromOn: (when, rest) => `The style takes over from ${when} on${rest}`,
  /** @param {string} when @param {string} half */
  between: (when, half) => `The style takes over between ${when}${half}`,
  /** @param {string} when */
  half: (when) => `, half of the layers by ${when}`,
  /** @param {string} share @param {boolean} first whether the layers were not yet spoken of */
  byTheEnd: (share, first) => `, ${share}${first ? ' of the layers' : ''} by the end`
}

/** @typedef {typeof EN} Words */

/** @type {Words} */
const ZH = {
  locale: 'zh',
  styleZero: 'rho ∞，风格 LoRA 在此层为零',
  subjectZero: 'rho 0，主体 LoRA 在此层为零',
  steps: { one: (column) => `第 ${column} 步`, two: (first, last) => `第 ${first} 到 ${last} 步` },
  way: { one: (share) => `${share} 处`, two: (first, last) => `进程的 ${first} 到 ${last}` },
  all: '所有层',
  nearlyAll: '几乎所有层',
  nowhere: (rest) => `风格始终没有接手${rest}`,
  butFor: (share) => `，只在结束时占 ${share} 的层`,
  beginning: (all) => `风格从一开始就占有${all}`,
  atOnce: (when, all) => `风格在${when}一次接手${all}`,
  fromOn: (when, rest) => `风格从${when}起接手${rest}`,
  between: (when, half) => `风格在${when}之间接手${half}`,
  half: (when) => `，到${when}时占一半的层`,
  byTheEnd: (share) => `，结束时占 ${share}`
}

/** @type {Words} */
const JA = {
  locale: 'ja',
  styleZero: 'rho ∞、スタイル LoRA はここで 0',
  subjectZero: 'rho 0、被写体 LoRA はここで 0',
  steps: { one: (column) => `ステップ ${column}`, two: (first, last) => `ステップ ${first} から ${last}` },
  way: { one: (share) => `行程の ${share}`, two: (first, last) => `行程の ${first} から ${last}` },
  all: '全レイヤー',
  nearlyAll: 'ほぼ全レイヤー',
  nowhere: (rest) => `スタイルへの切り替わりはありません${rest}`,
  butFor: (share) => `（最後に ${share} のレイヤーだけ）`,
  beginning: (all) => `最初から${all}がスタイルです`,
  atOnce: (when, all) => `${when} で${all}が一度にスタイルへ`,
  fromOn: (when, rest) => `${when} からスタイルへ${rest}`,
  between: (when, half) => `${when} の間にスタイルへ${half}`,
  half: (when) => `、${when} までに半分のレイヤー`,
  byTheEnd: (share) => `、最後には ${share}`
}

/** @param {string} locale as the view's words have it @returns {Words} */
export const wordsFor = (locale) => [ZH, JA].find((words) => words.locale === locale) ?? EN
