// Answers that are asked for once, of which the last few that were wanted are kept. Pure.

/** @template T */
export class Answers {
  #ask
  #most
  /** @type {Map<string, Promise<T>>} */
  #known = new Map()

  /** @param {(key: string) => Promise<T>} ask @param {number} most */
  constructor(ask, most) {
    this.#ask = ask
    this.#most = most
  }

  /** @param {string} key */
  get(key) {
    const answer = this.#known.get(key) ?? this.#ask(key)
    this.#known.delete(key)
    this.#known.set(key, answer)
    const [oldest] = this.#known.keys()
    if (this.#known.size > this.#most) this.#known.delete(oldest)
    return answer
  }

  /** It is asked for again the next time. @param {string} key */
  forget(key) {
    this.#known.delete(key)
  }
}
