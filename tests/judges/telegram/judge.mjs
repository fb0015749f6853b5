// A Telegram bot in grammY, as its documentation has it. It answers what it is told and prints one
// JSON line for each thing it saw. Only the address of the Bot API is not the usual one.

import { Bot, GrammyError, InlineKeyboard, InputFile, InputMediaBuilder } from "grammy";

const say = (seen, more = {}) => console.log(JSON.stringify({ seen, ...more }));

const token = process.env.TELEGRAM_BOT_TOKEN;
const apiRoot = process.env.TELEGRAM_API_ROOT;
// One pixel.
const PICTURE =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const bot = new Bot(token, { client: { apiRoot } });

async function refused(call) {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof GrammyError)) throw error;
    say("refused", { code: error.error_code, description: error.description });
  }
}

bot.command("stop", async (ctx) => {
  say("command", { match: ctx.match });
  await ctx.reply("bye");
  await bot.stop();
});

bot.on("edited_message:text", (ctx) => say("edited_message", { text: ctx.msg.text }));

bot.on("message_reaction", (ctx) => say("message_reaction", ctx.reactions()));

bot.on("my_chat_member", (ctx) =>
  say("my_chat_member", { status: ctx.myChatMember.new_chat_member.status }),
);

bot.on("message:forum_topic_created", (ctx) =>
  say("forum_topic_created", { name: ctx.msg.forum_topic_created.name }),
);

bot.on("message:file", async (ctx) => {
  const file = await ctx.getFile();
  const answer = await fetch(`${apiRoot}/file/bot${token}/${file.file_path}`);
  say("message:file", { caption: ctx.msg.caption, text: await answer.text() });
  const options = { caption: "<i>all</i> of it", parse_mode: "HTML" };
  await ctx.replyWithDocument(new InputFile(Buffer.from("the whole answer"), "answer.txt"), options);
  say("uploaded");
});

bot.on("message:text", async (ctx) => {
  const { message_id, text, entities } = ctx.msg;
  say("message", { text, topic: ctx.msg.is_topic_message ?? false, entities });
  await ctx.replyWithChatAction("typing");
  await ctx.react("👀");
  const thinking = await ctx.reply("thinking", { reply_parameters: { message_id } });
  const edit = () =>
    ctx.api.editMessageText(ctx.chat.id, thinking.message_id, `<b>you said</b>: ${text}`, {
      parse_mode: "HTML",
    });
  await edit();
  await refused(edit);
  await refused(() => ctx.reply("<b>no end", { parse_mode: "HTML" }));
  await ctx.reply("more?", { reply_markup: new InlineKeyboard().text("More", "more") });
  say("answered", { text });
});

bot.callbackQuery("more", async (ctx) => {
  say("pressed", { who: ctx.from.first_name });
  await ctx.answerCallbackQuery("here is more");
  await ctx.editMessageText("more!");
  say("button answered");
  const picture = new InputFile(Buffer.from(PICTURE, "base64"), "dot.png");
  const covered = { caption: "<b>a</b> dot", parse_mode: "HTML", has_spoiler: true };
  await ctx.editMessageMedia(InputMediaBuilder.photo(picture, covered));
  await refused(() => ctx.editMessageText("text again"));
  await ctx.editMessageCaption({ caption: "a dot" });
  say("pictured");
});

bot.catch(({ error }) => say("error", { message: String(error) }));

// It lives no longer than whoever started it wants to hear from it.
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));

await bot.api.setMyCommands([{ command: "stop", description: "Stop" }]);
await bot.start({
  allowed_updates: [
    "message",
    "edited_message",
    "callback_query",
    "message_reaction",
    "my_chat_member",
  ],
  onStart: (me) => say("ready", { name: me.username }),
});
say("stopped");
process.exit(0);
