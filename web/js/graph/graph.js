// Walking the page's graph, into and out of subgraphs. Nodes, links and graphs are the host's own objects.

const MUTED = 2
const BYPASSED = 4
const CARRIERS = ['MODEL', 'GUIDER', 'SIGMAS', '*']
// Nodes that pass the value of their one widget on as it is: `PrimitiveNode`, `PrimitiveFloat`, ...
const PLAIN = /^Primitive/
// On their way no LoRA comes.
const WITHOUT_LORAS = ['MODEL', 'CLIP']

/** Nodes of every graph, subgraphs included. @param {any} graph @returns {Generator<any>} */
export function* allNodes(graph) {
  for (const node of graph?.nodes ?? []) {
    yield node
    if (node.subgraph) yield* allNodes(node.subgraph)
  }
}

/** The key of a node in `app.nodeOutputs`. @param {any} node @param {any} rootGraph */
export function locatorOf(node, rootGraph) {
  return node.graph === rootGraph ? String(node.id) : `${node.graph.id}:${node.id}`
}

/**
 * The node that an execution id such as `5` or `7:3` (node 3 in the subgraph of node 7) names.
 * @param {any} rootGraph @param {string} executionId
 */
export function nodeAt(rootGraph, executionId) {
  let graph = rootGraph
  let node = null
  for (const id of String(executionId).split(':')) {
    node = graph?.getNodeById(isNaN(Number(id)) ? id : Number(id)) ?? graph?.getNodeById(id)
    graph = node?.subgraph
  }
  return node ?? null
}

/** `5`, or `7:5` in the subgraph of node 7. @param {any} node @param {any} rootGraph */
export function executionIdOf(node, rootGraph) {
  const path = [node.id]
  for (let { graph } = node; graph && graph !== rootGraph; ) {
    const host = hostOf(graph, rootGraph)
    if (!host) break
    path.unshift(host.id)
    graph = host.graph
  }
  return path.join(':')
}

/**
 * Changes a graph. It tells its listeners, and the canvas the page's history: so this is one step of undo. A step
 * that never ended would be the last.
 * @param {any} graph @param {() => void} act @param {any} [canvas]
 */
export function changing(graph, act, canvas) {
  graph?.beforeChange?.()
  canvas?.emitBeforeChange?.()
  try {
    act()
  } finally {
    graph?.afterChange?.()
    canvas?.emitAfterChange?.()
  }
}

/** Whether a node is neither muted nor bypassed. @param {any} node */
export const isActive = (node) => node.mode !== MUTED && node.mode !== BYPASSED

/**
 * What keeps a node out of every run: itself or a subgraph around it; null where nothing does.
 * @param {any} node @param {any} rootGraph @returns {'muted' | 'bypassed' | null}
 */
export function asideBy(node, rootGraph) {
  for (let at = node; at; at = at.graph === rootGraph ? null : hostOf(at.graph, rootGraph)) {
    if (at.mode === MUTED) return 'muted'
    if (at.mode === BYPASSED) return 'bypassed'
  }
  return null
}

/**
 * Every node that the MODEL output of `start` reaches through models, guiders and sigmas.
 * @param {any} start @param {any} rootGraph
 */
export function modelReach(start, rootGraph) {
  /** @type {Set<any>} */
  const reached = new Set()
  const waiting = [...targetsOf(start, rootGraph, ['MODEL'])]
  while (waiting.length) {
    const node = waiting.pop()
    if (reached.has(node) || node.mode === MUTED) continue
    reached.add(node)
    waiting.push(...targetsOf(node, rootGraph, CARRIERS))
  }
  return reached
}

/**
 * Every node that `node` takes something from, directly or not, by inputs that `follows` says yes to.
 * @param {any} node @param {any} rootGraph @param {(input: any) => boolean} [follows]
 */
export function upstreamOf(node, rootGraph, follows = () => true) {
  /** @type {Set<any>} */
  const found = new Set()
  const waiting = [node]
  while (waiting.length) {
    const next = waiting.pop()
    for (const [slot, input] of (next.inputs ?? []).entries()) {
      const source = follows(input) ? sourceOf(next, slot, rootGraph)?.node : null
      if (!source || found.has(source)) continue
      found.add(source)
      waiting.push(source)
    }
  }
  return found
}

/** Whether a LoRA may come by an input. @param {any} input */
export const carriesLoras = (input) => !input.widget && !WITHOUT_LORAS.includes(input.type)

/**
 * What feeds input `slot` of a node: a node that executes (or a primitive), or, where nothing is linked to a
 * widget that a subgraph shows outside, the subgraph's node and that widget's name; null without a link. `output`
 * names the output of a node that executes.
 * @param {any} node @param {number} slot @param {any} rootGraph
 * @returns {{ node: any, widget: string | null, output?: string } | null}
 */
export function sourceOf(node, slot, rootGraph) {
  const link = linkInto(node, slot)
  return link ? originOf(node.graph, link, rootGraph) : null
}

/**
 * A widget, or the primitive's or outer widget that a link takes its value from; null where that can't be told.
 * @param {any} node @param {string} name @param {any} rootGraph @returns {{ node: any, widget: any } | null}
 */
export function sourceWidget(node, name, rootGraph) {
  const slot = slotOf(node, name)
  const source = isLinked(node, slot) ? sourceOf(node, slot, rootGraph) : { node, widget: name }
  const wanted = source?.widget ?? (PLAIN.test(source?.node.type) ? 'value' : null)
  const widget = source?.node.widgets?.find((/** @type {any} */ widget) => widget.name === wanted)
  return source && widget ? { node: source.node, widget } : null
}

/**
 * A widget's value, or that of the one linked to it; undefined where it can't be told.
 * @param {any} node @param {string} name @param {any} rootGraph
 */
export const widgetValue = (node, name, rootGraph) => sourceWidget(node, name, rootGraph)?.widget.value

/** The input of a node's widget, -1 where it has none. @param {any} node @param {string} widget @returns {number} */
export const slotOf = (node, widget) =>
  node.inputs?.findIndex((/** @type {any} */ input) => input.widget?.name === widget) ?? -1

/** The input of that name, -1 where a node has none. @param {any} node @param {string} name @returns {number} */
export const inputOf = (node, name) => node.inputs?.findIndex((/** @type {any} */ input) => input.name === name) ?? -1

/** Whether something is linked to input `slot` of a node. @param {any} node @param {number} slot */
export const isLinked = (node, slot) => slot >= 0 && linkInto(node, slot) !== null

/** @param {any} node @param {number} slot */
function linkInto(node, slot) {
  const { graph } = node
  if (!graph) return null
  if (!node.subgraph) return node.getInputLink?.(slot) ?? null
  // A subgraph's node answers that for its outputs.
  const links = node.isInputConnected(slot) ? [...graph.links.values()] : []
  return links.find((link) => String(link.target_id) === String(node.id) && link.target_slot === slot) ?? null
}

/** @param {any} graph @param {any} id */
const linkOf = (graph, id) => (id == null ? null : (graph?.getLink?.(id) ?? graph?.links?.get?.(id) ?? null))

/** The node whose subgraph a graph is. @param {any} graph @param {any} rootGraph */
const hostOf = (graph, rootGraph) => [...allNodes(rootGraph)].find((node) => node.subgraph === graph) ?? null

/**
 * @param {any} graph @param {any} link @param {any} rootGraph
 * @returns {{ node: any, widget: string | null, output?: string } | null}
 */
function originOf(graph, link, rootGraph) {
  const origin = graph.getNodeById(link.origin_id)
  if (origin?.subgraph) {
    const inside = linkOf(origin.subgraph, origin.subgraph.outputs?.[link.origin_slot]?.linkIds?.[0])
    return inside ? originOf(origin.subgraph, inside, rootGraph) : null
  }
  if (origin?.type === 'Reroute') return sourceOf(origin, 0, rootGraph)
  if (origin) return { node: origin, widget: null, output: origin.outputs?.[link.origin_slot]?.name }
  // From the input side of the subgraph that this graph is.
  const host = hostOf(graph, rootGraph)
  const input = host?.inputs?.[link.origin_slot]
  if (!input) return null
  if (isLinked(host, link.origin_slot)) return sourceOf(host, link.origin_slot, rootGraph)
  return { node: host, widget: input.widget?.name ?? input.name }
}

/** @param {any} node @param {any} rootGraph @param {string[]} types @returns {Generator<any>} */
function* targetsOf(node, rootGraph, types) {
  for (const [slot, { type }] of (node.outputs ?? []).entries()) {
    if (types.includes(type)) yield* ends(node.graph, linksOut(node, slot), rootGraph)
  }
}

/** The links out of an output, also to an output of the subgraph around it. @param {any} node @param {number} slot */
function linksOut(node, slot) {
  const { graph } = node
  const into = [...new Set((graph && node.getOutputNodes?.(slot)) ?? [])].flatMap((target) =>
    (target.inputs ?? []).map((/** @type {any} */ _, /** @type {number} */ at) => linkInto(target, at))
  )
  const outer = Array.isArray(graph?.outputs) ? graph.outputs : []
  const around = outer.flatMap((/** @type {any} */ output) => linksOf(graph, output))
  const isFrom = (/** @type {any} */ link) => String(link?.origin_id) === String(node.id) && link.origin_slot === slot
  return [...into, ...around].filter(isFrom)
}

/** The links at an input or output of a subgraph, inside. @param {any} graph @param {any} side */
const linksOf = (graph, side) => (side?.linkIds ?? []).map((/** @type {any} */ id) => linkOf(graph, id))

/**
 * The nodes at the far ends of links.
 * @param {any} graph @param {any[]} links @param {any} rootGraph @returns {Generator<any>}
 */
function* ends(graph, links, rootGraph) {
  for (const link of links) {
    if (!link) continue
    const node = graph.getNodeById(link.target_id)
    if (node?.subgraph) {
      yield* ends(node.subgraph, linksOf(node.subgraph, node.subgraph.inputs?.[link.target_slot]), rootGraph)
    } else if (node) {
      yield node
    } else {
      for (const host of allNodes(rootGraph)) {
        if (host.subgraph === graph) yield* ends(host.graph, linksOut(host, link.target_slot), rootGraph)
      }
    }
  }
}
