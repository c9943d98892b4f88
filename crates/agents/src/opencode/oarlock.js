// Tells oarlock what happens in this run of opencode. A telling that fails is lost, and nothing else is.
import { spawnSync } from "node:child_process"

const program = OARLOCK_PROGRAM
const told = new Set(OARLOCK_EVENTS)
const children = new Set()
const counted = new Set()
const turns = new Set()
const failures = new Map()
const waiting = new Set()

// One after the other: what is told late would be believed late.
const tell = (event, payload) => {
  if (!told.has(event)) return
  try {
    spawnSync(program, ["hook", "opencode", event], {
      input: JSON.stringify(payload),
      stdio: ["pipe", "ignore", "ignore"],
      timeout: 3000,
    })
  } catch {}
}

const ended = (session) => {
  if (children.has(session) || !turns.delete(session)) return
  tell("turn.ended", { sessionID: session, error: failures.get(session) ?? null })
  failures.delete(session)
}

const finished = (info) => {
  const over = info?.role === "assistant" && (info.finish || info.time?.completed)
  if (!over || counted.has(info.id)) return
  counted.add(info.id)
  tell("message.finished", {
    sessionID: info.sessionID,
    id: info.id,
    model: `${info.providerID}/${info.modelID}`,
    tokens: info.tokens,
    cost: info.cost,
  })
}

// Words or a call that come in after it was told to wait.
const answered = (session, part) => {
  if (part?.startsWith("step-") || !waiting.delete(session)) return
  tell("session.answered", { sessionID: session })
}

const seen = ({ type, properties: is }) => {
  if (type === "session.created" && is?.info?.parentID) children.add(is.info.id)
  else if (type === "session.created") tell("session.created", { sessionID: is?.info?.id, version: is?.info?.version })
  else if (type === "session.idle" || (type === "session.status" && is?.status?.type === "idle")) ended(is?.sessionID)
  else if (type === "session.status" && is?.status?.type === "retry") {
    waiting.add(is?.sessionID)
    tell("session.retry", is)
  } else if (type === "message.part.updated" || type === "message.part.delta") answered(is?.part?.sessionID ?? is?.sessionID, is?.part?.type)
  else if (type === "session.error") failures.set(is?.sessionID, is?.error)
  else if (type === "message.updated") finished(is?.info)
  else if (["permission.asked", "permission.replied", "question.asked", "question.replied", "question.rejected"].includes(type))
    tell(type, is)
}

export const Oarlock = async () => ({
  event: async ({ event }) => {
    try {
      seen(event)
    } catch {}
  },
  "chat.message": async (input) => {
    if (children.has(input?.sessionID) || turns.has(input?.sessionID)) return
    turns.add(input?.sessionID)
    tell("turn.started", { sessionID: input?.sessionID, model: input?.model })
  },
  "tool.execute.before": async (input, output) =>
    tell("tool.execute.before", { callID: input?.callID, tool: input?.tool, args: output?.args }),
  "tool.execute.after": async (input, output) =>
    tell("tool.execute.after", { callID: input?.callID, tool: input?.tool, exit: output?.metadata?.exit }),
})
