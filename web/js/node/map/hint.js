// Why the map may not be what the next run decides.

import { asideBy } from '../../graph/graph.js'
import { loadsFilesOf, settingsText } from '../../graph/widgets.js'

/**
 * What the map says of itself, null where it holds. `setTo`: what the run was set to, null where that is not known.
 * @param {any} node @param {any} rootGraph
 * @param {{
 *   plan: import('../../decision/document.js').PlanDocument, decider: import('../../decision/decision.js').Decider,
 *   settings: any, mode: string, setTo: string | null
 * }} shown
 * @returns {import('../../view/telling.js').Hint | null}
 */
export function hintOf(node, rootGraph, { plan, decider, settings, mode, setTo }) {
  const aside = asideBy(node, rootGraph)
  if (aside) return aside
  if (loadsFilesOf(node, plan, rootGraph) === false) return 'stale'
  if (setTo !== null && setTo !== settingsText(node, rootGraph, decider.fixed)) return 'changed'
  if (settings.beyond) return 'changed'
  if (!decider.fixed) return null
  return decider.same(settings, decider.settingsOf(plan)) && mode === plan.progress.mode ? null : 'preview'
}
