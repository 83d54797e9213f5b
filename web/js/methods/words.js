// What the methods say of a slot in words of their own, in the page's language.

const EN = {
  locale: 'en',
  styleZero: 'rho ∞, the style LoRA is zero here',
  subjectZero: 'rho 0, the subject LoRA is zero here'
}

/** @typedef {typeof EN} Words */

/** @type {Words} */
const ZH = {
  locale: 'zh',
  styleZero: 'rho ∞，风格 LoRA 在此层为零',
  subjectZero: 'rho 0，主体 LoRA 在此层为零'
}

/** @type {Words} */
const JA = {
  locale: 'ja',
  styleZero: 'rho ∞、スタイル LoRA はここで 0',
  subjectZero: 'rho 0、被写体 LoRA はここで 0'
}

/** @param {string} locale as the view's words have it @returns {Words} */
export const wordsFor = (locale) => [ZH, JA].find((words) => words.locale === locale) ?? EN
