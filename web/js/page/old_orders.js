// Workflows saved with an older order of a node's widgets. A file holds their values by place: here they are put
// where the node of today has its widget of that name.

/** @typedef {{ names: string[], tells: (values: any[]) => boolean }} OldOrder */

/** By node; `tells` knows an old file by the shape of its values. @type {Map<string, OldOrder>} */
const OLD = new Map([
  [
    'KLoRAFuse',
    {
      names: [
        'subject_strength', 'style_strength', 'balance', 'schedule', 'schedule.alpha', 'schedule.beta', 'gamma',
        'layers', 'other_layers', 'progress', 'score', 'loser', 'outside'
      ],
      // The schedule came fourth; beta does since.
      tells: (values) => typeof values[3] === 'string'
    }
  ]
])

/**
 * Lets nodes of `nodeType` read the files of older versions, wherever they come from.
 * @param {any} nodeType @param {string} name
 */
export function readOldOrders(nodeType, name) {
  const old = OLD.get(name)
  if (!old) return
  const { configure } = nodeType.prototype
  nodeType.prototype.configure = function (/** @type {any} */ info) {
    return configure.call(this, inOrder(info, old, this.widgets ?? []))
  }
}

/** @param {any} info @param {OldOrder} old @param {any[]} widgets */
function inOrder(info, { names, tells }, widgets) {
  const values = info.widgets_values
  if (!Array.isArray(values) || !tells(values)) return info
  const named = new Map(names.slice(0, values.length).map((name, place) => [name, values[place]]))
  const saved = widgets.filter((widget) => widget.serialize !== false)
  // A file may be older than a widget: then that keeps its default.
  return { ...info, widgets_values: saved.map(({ name, value }) => (named.has(name) ? named.get(name) : value)) }
}
