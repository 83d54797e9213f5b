// Numbers for people.

/** Four digits, or the sign for what is no finite number. @param {number} value */
export const number = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(4))) : '∞')
