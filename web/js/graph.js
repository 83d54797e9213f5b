// Walking the page's graph: which samplers a K-LoRA Fuse node feeds, and how many steps they take.

const CARRIERS = new Set(['MODEL', 'GUIDER', 'SIGMAS', '*'])

/** Nodes of every graph, subgraphs included. */
export function* allNodes(graph) {
  for (const node of graph?.nodes ?? []) {
    yield node
    if (node.subgraph) yield* allNodes(node.subgraph)
  }
}

/** The key of a node in `app.nodeOutputs`. */
export function locatorOf(node, rootGraph) {
  return node.graph === rootGraph ? String(node.id) : `${node.graph.id}:${node.id}`
}

/** The node that an execution id such as `5` or `7:3` (node 3 in the subgraph of node 7) names. */
export function nodeAt(rootGraph, executionId) {
  let graph = rootGraph
  let node = null
  for (const id of String(executionId).split(':')) {
    node = graph?.getNodeById(isNaN(id) ? id : Number(id)) ?? graph?.getNodeById(id)
    graph = node?.subgraph
  }
  return node ?? null
}

/** Every node that the MODEL output of `start` reaches through models, guiders and sigmas. */
export function modelReach(start, rootGraph) {
  const reached = new Set()
  const waiting = [...targetsOf(start, rootGraph, ['MODEL'])]
  while (waiting.length) {
    const node = waiting.pop()
    if (reached.has(node)) continue
    reached.add(node)
    waiting.push(...targetsOf(node, rootGraph, CARRIERS))
  }
  return reached
}

/** Steps as set on the first sampler or scheduler among `nodes` that says so; null where none does. */
export function stepsSet(nodes) {
  for (const node of nodes) {
    for (const asked of [node, sigmasOf(node)]) {
      const steps = widgetValue(asked, 'steps')
      if (!(steps >= 1)) continue
      const first = widgetValue(asked, 'start_at_step') ?? 0
      const last = Math.min(steps, widgetValue(asked, 'end_at_step') ?? steps)
      return Math.max(1, last - first)
    }
  }
  return null
}

/** A whole number set on a widget, or on the primitive node that is linked to it; null otherwise. */
function widgetValue(node, name) {
  const slot = node?.inputs?.findIndex((input) => input.widget?.name === name && input.link != null) ?? -1
  const [holder, asked] = slot < 0 ? [node, name] : [node.getInputNode(slot), 'value']
  const value = holder?.widgets?.find((widget) => widget.name === asked)?.value
  return Number.isInteger(value) ? value : null
}

/** Whether the nodes at `subject` and `style` can still be loading the files that `plan` is about. */
export function loadsFilesOf(node, plan) {
  return ['subject', 'style'].every((role) => {
    const slot = node.inputs?.findIndex((input) => input.name === role) ?? -1
    const source = slot < 0 ? null : node.getInputNode(slot)
    const files = (source?.widgets ?? []).map((widget) => widget.value).filter(isFile)
    return !files.length || !isFile(plan[role].name) || files.includes(plan[role].name)
  })
}

const isFile = (value) => typeof value === 'string' && /\.\w+$/.test(value)

/** The node that gives a custom sampler its sigmas. */
function sigmasOf(node) {
  const slot = node.inputs?.findIndex((input) => input.type === 'SIGMAS') ?? -1
  return slot < 0 ? null : node.getInputNode(slot)
}

function* targetsOf(node, rootGraph, types) {
  const carries = new Set(types)
  for (const output of node.outputs ?? []) {
    if (carries.has(output.type)) yield* ends(node.graph, output.links ?? [], rootGraph)
  }
}

/** The nodes at the far ends of links, into and out of subgraphs. */
function* ends(graph, linkIds, rootGraph) {
  for (const id of linkIds) {
    const link = graph?.getLink?.(id) ?? graph?.links?.get?.(id)
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
