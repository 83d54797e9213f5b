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
  const link = linkOf(node.graph, node.inputs?.[slot]?.link)
  return link ? originOf(node.graph, link, rootGraph) : null
}

/**
 * A widget, or the primitive's or outer widget that a link takes its value from; null where that can't be told.
 * @param {any} node @param {string} name @param {any} rootGraph @returns {{ node: any, widget: any } | null}
 */
export function sourceWidget(node, name, rootGraph) {
  const linked = (/** @type {any} */ input) => input.widget?.name === name && input.link != null
  const slot = node.inputs?.findIndex(linked) ?? -1
  const source = slot < 0 ? { node, widget: name } : sourceOf(node, slot, rootGraph)
  const wanted = source?.widget ?? (PLAIN.test(source?.node.type) ? 'value' : null)
  const widget = source?.node.widgets?.find((/** @type {any} */ widget) => widget.name === wanted)
  return source && widget ? { node: source.node, widget } : null
}

/**
 * A widget's value, or that of the one linked to it; undefined where it can't be told.
 * @param {any} node @param {string} name @param {any} rootGraph
 */
export const widgetValue = (node, name, rootGraph) => sourceWidget(node, name, rootGraph)?.widget.value

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
  if (input.link != null) return sourceOf(host, link.origin_slot, rootGraph)
  return { node: host, widget: input.widget?.name ?? input.name }
}

/** @param {any} node @param {any} rootGraph @param {string[]} types @returns {Generator<any>} */
function* targetsOf(node, rootGraph, types) {
  for (const output of node.outputs ?? []) {
    if (types.includes(output.type)) yield* ends(node.graph, output.links ?? [], rootGraph)
  }
}

/**
 * The nodes at the far ends of links.
 * @param {any} graph @param {any[]} linkIds @param {any} rootGraph @returns {Generator<any>}
 */
function* ends(graph, linkIds, rootGraph) {
  for (const id of linkIds) {
    const link = linkOf(graph, id)
    if (!link) continue
    const node = graph.getNodeById(link.target_id)
    if (node?.subgraph) {
      yield* ends(node.subgraph, node.subgraph.inputs?.[link.target_slot]?.linkIds ?? [], rootGraph)
    } else if (node) {
      yield node
    } else {
      for (const host of allNodes(rootGraph)) {
        if (host.subgraph !== graph) continue
        yield* ends(host.graph, host.outputs?.[link.target_slot]?.links ?? [], rootGraph)
      }
    }
  }
}
