// What the K-LoRA Fuse node is set to now, read from its widgets by name: those of the schedule come and
// go with it.

import { DEFAULT_ALPHA, DEFAULT_BETA, isSchedule, settingsOf } from './maths.js'

const WATCHED = new Set(['balance', 'schedule', 'schedule.alpha', 'schedule.beta', 'gamma', 'progress'])

/** The settings of `node`; what a link supplies can't be read here and is taken from the plan. */
export function readSettings(node, plan) {
  const ran = settingsOf(plan)
  const read = (name, otherwise) => {
    const widget = node.widgets?.find((w) => w.name === name)
    return widget && !isLinked(node, name) ? widget.value : otherwise
  }
  const name = read('schedule', ran.schedule.name)
  const same = name === ran.schedule.name
  const schedule = {
    name,
    alpha: Number(read('schedule.alpha', same ? ran.schedule.alpha : DEFAULT_ALPHA)),
    beta: Number(read('schedule.beta', same ? ran.schedule.beta : DEFAULT_BETA[name])),
    balance: Number(read('balance', ran.schedule.balance))
  }
  return {
    schedule: isSchedule(schedule) ? schedule : ran.schedule,
    gammaMode: read('gamma', ran.gammaMode),
    byProgress: read('progress', 'steps') === 'noise level'
  }
}

/** Calls `moved` after the callback of each watched widget that is not yet watched. */
export function watchWidgets(node, watched, moved) {
  for (const widget of node.widgets ?? []) {
    if (!WATCHED.has(widget.name) || watched.has(widget)) continue
    watched.add(widget)
    const { callback } = widget
    widget.callback = function (...values) {
      const result = callback?.apply(this, values)
      moved()
      return result
    }
  }
}

function isLinked(node, name) {
  return node.inputs?.some((input) => input.widget?.name === name && input.link != null) ?? false
}
