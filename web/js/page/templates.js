// The shipped templates: listed by their numbers, and in the page's language where titles and notes are as they ship.

const OURS = /^0b0c5f0a-4f0e-4c58-9d53-6a4a2f3d/
const FILE = new URL('../../words/templates.json', import.meta.url)
const NOTE = 'MarkdownNote'

/**
 * Puts a template that is about to be opened into another language, line by line.
 * @param {any} graph the workflow file, changed in place @param {string} locale such as `zh` or `zh-TW`
 */
export async function translate(graph, locale) {
  const [language] = locale.split('-')
  if (language === 'en' || !OURS.test(graph?.id)) return
  const words = await read()
  /** @param {string} text */
  const said = (text) => words[text]?.[language] ?? text
  for (const group of graph.groups ?? []) group.title = said(group.title)
  for (const node of graph.nodes ?? []) {
    if (node.title) node.title = said(node.title)
    const [text] = (node.type === NOTE && node.widgets_values) || []
    if (text) node.widgets_values[0] = text.split('\n').map(said).join('\n')
  }
}

/**
 * Lists the pack's templates by their names. The host lists them as the folder does, which is in no order.
 * @param {any} api @param {string} url of any of the pack's own files
 */
export function sortTemplates(api, url) {
  const { getWorkflowTemplates } = api
  const folder = /\/extensions\/([^/]+)\//.exec(new URL(url).pathname)?.[1]
  if (!getWorkflowTemplates || !folder) return
  const pack = decodeURIComponent(folder)
  api.getWorkflowTemplates = async function () {
    const listed = await getWorkflowTemplates.call(this)
    const ours = listed?.[pack]
    return Array.isArray(ours) ? { ...listed, [pack]: [...ours].sort() } : listed
  }
}

/** By the English line, then by language. @returns {Promise<Record<string, Record<string, string>>>} */
async function read() {
  try {
    return await (await fetch(FILE)).json()
  } catch {
    // English is better than no template.
    return {}
  }
}
