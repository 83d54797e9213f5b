// The columns of a map: at which progress x each stands, and whether they are a run's steps or x itself.
// Pure. Steps are drawn only where they are known: set on the sampler's node for a run from full noise to
// the end, or told by a run; everything else is drawn over x.

/**
 * `count` columns of equal width at progress `xs`. `kind` says what their axis counts; `run` is how a run
 * counted x where the columns are that run's own, else null. `parts` are the steps of each part of a split run.
 * @typedef {{
 *   kind: 'steps' | 'progress', count: number, xs: Float64Array, run: string | null, parts?: number[]
 * }} Columns
 * A run as the server tells it: x of each step, the mode that gave it, and the node that samples it; `parts` where
 * several were joined.
 * @typedef {{ mode: string, x: number[], sampler?: string, parts?: number[] }} Run
 * What the graph says of the first sampler: its steps (null if unknown), and whether it is known to run from
 * the model's full noise to the end.
 * @typedef {{ steps: number | null, whole: boolean }} Sampler
 */

/** @param {number} count */
const middles = (count) => Float64Array.from({ length: count }, (_, i) => (i + 0.5) / count)

/**
 * Columns that are the steps of a run counted in steps: x = (i + 1/2) / T.
 * @param {number} count @returns {Columns}
 */
export const stepColumns = (count) => ({ kind: 'steps', count, xs: middles(count), run: null })

/** Columns that divide x from 0 to 1 evenly. @param {number} count @returns {Columns} */
export const progressColumns = (count) => ({ kind: 'progress', count, xs: middles(count), run: null })

/** Columns that are the steps of a run that took place. @param {Run} run @returns {Columns} */
function runColumns({ mode, x, parts }) {
  /** @type {Columns} */
  const columns = { kind: 'steps', count: x.length, xs: Float64Array.from(x), run: mode }
  return parts ? { ...columns, parts } : columns
}

/**
 * The columns to draw: the run's own where one took place with the present settings.
 * @param {{ mode: string, run: Run | null, sampler: Sampler, resolution: number }} known
 */
export function columnsFor({ mode, run, sampler, resolution }) {
  if (run) return runColumns(run)
  const inSteps = mode === 'steps' || (mode === 'auto' && sampler.whole)
  return inSteps && sampler.steps ? stepColumns(sampler.steps) : progressColumns(resolution)
}

/** Whether x grows evenly over the columns, so that x is the share of their width. @param {{ xs: Float64Array }} columns */
export const isEven = ({ xs }) => xs.every((x, i) => Math.abs(x - (i + 0.5) / xs.length) < 1e-9)

/** The column that stands for progress x on an axis of x. @param {Columns} columns @param {number} x */
export const columnAt = ({ count }, x) => Math.min(count - 1, Math.max(0, Math.floor(x * count)))

/**
 * The last of `runs` as one with those before it that it went on from: parts of a split run, one behind the
 * other. `first` is where the last run begins.
 * @param {Run[]} runs @returns {{ run: Run, first: number } | null}
 */
export function joined(runs) {
  let run = runs[runs.length - 1]
  if (!run) return null
  const { mode } = run
  let first = 0
  for (const before of runs.slice(0, -1).reverse()) {
    const goesOn = before.mode === mode && before.x[before.x.length - 1] < run.x[0]
    if (!goesOn) break
    run = { mode, x: [...before.x, ...run.x], parts: [before.x.length, ...(run.parts ?? [run.x.length])] }
    first += before.x.length
  }
  return { run, first }
}

/** `value` as a run, or null. @param {any} value @returns {Run | null} */
export function readRun(value) {
  const isX = (/** @type {any} */ x) => Number.isFinite(x) && x >= 0 && x <= 1
  const whole = typeof value?.mode === 'string' && Array.isArray(value.x) && value.x.length && value.x.every(isX)
  return whole ? { mode: value.mode, x: value.x, sampler: value.sampler } : null
}
