// discord.js, which other people wrote, as a judge of tests/fake_discord.py: it does what a bot does
// and prints one line of JSON for each thing it saw.
import {
  ActionRowBuilder,
  AttachmentBuilder,
  ButtonBuilder,
  ButtonStyle,
  Client,
  Events,
  GatewayIntentBits as Intent,
  LabelBuilder,
  ModalBuilder,
  Partials,
  TextInputBuilder,
  TextInputStyle,
} from "discord.js";

const say = (seen, more = {}) => console.log(JSON.stringify({ seen, ...more }));

const client = new Client({
  intents: [
    Intent.Guilds,
    Intent.GuildMessages,
    Intent.GuildMessageReactions,
    Intent.DirectMessages,
    Intent.MessageContent,
  ],
  partials: [Partials.Channel, Partials.Message, Partials.Reaction],
});

client.once(Events.ClientReady, async () => {
  await client.application.commands.set([{ name: "greet", description: "Greets you" }]);
  say("ready", { user: client.user.username, guilds: client.guilds.cache.map((g) => g.name) });
});

client.on(Events.MessageCreate, async (message) => {
  if (message.author.bot || message.system) return;
  say("message", { text: message.content, direct: !message.inGuild() });
  if (message.content === "private") {
    await message.reply("private answer");
    return;
  }
  if (message.attachments.size > 0) {
    const file = message.attachments.first();
    const answer = await fetch(file.url);
    say("file", { name: file.name, text: await answer.text() });
    return;
  }
  if (message.channel.isThread()) {
    say("in thread", { name: message.channel.name });
    return;
  }
  await message.channel.sendTyping();
  const button = new ButtonBuilder()
    .setCustomId("again")
    .setLabel("Again")
    .setStyle(ButtonStyle.Primary);
  const answer = await message.reply({
    content: "first",
    files: [new AttachmentBuilder(Buffer.from("a file"), { name: "answer.txt" })],
    components: [new ActionRowBuilder().addComponents(button)],
    allowedMentions: { parse: [] },
  });
  say("answered", { to: (await answer.fetchReference()).content, files: answer.attachments.size });
  const edited = await answer.edit("second");
  say("edited", { text: edited.content, files: edited.attachments.size });
  await message.react("👍");
  const thread = await message.startThread({ name: "a talk" });
  await thread.send("in the thread");
  const history = await message.channel.messages.fetch({ limit: 10 });
  say("threaded", { same: thread.id === message.id, history: history.map((m) => m.content) });
  const hook = await message.channel.createWebhook({ name: "bridge" });
  const bridged = await hook.send({ content: "from afar", username: "Ada" });
  say("bridged", { author: bridged.author.username, webhook: bridged.webhookId === hook.id });
  const refused = await message.channel.send("x".repeat(2001)).catch((error) => error);
  say("refused", { status: refused.status, code: refused.code });
});

client.on(Events.InteractionCreate, async (interaction) => {
  if (interaction.isChatInputCommand()) {
    await interaction.deferReply({ flags: "Ephemeral" });
    await interaction.editReply("hello");
    say("command", { name: interaction.commandName });
  } else if (interaction.isButton()) {
    say("button", { id: interaction.customId });
    const input = new TextInputBuilder()
      .setCustomId("words")
      .setStyle(TextInputStyle.Paragraph)
      .setValue("the same");
    const label = new LabelBuilder().setLabel("Words").setTextInputComponent(input);
    const form = new ModalBuilder().setCustomId("form").setTitle("Again");
    await interaction.showModal(form.addLabelComponents(label));
  } else if (interaction.isModalSubmit()) {
    const file = new AttachmentBuilder(Buffer.from("another"), { name: "SPOILER_other.txt" });
    await interaction.update({ content: "third", components: [], attachments: [], files: [file] });
    const words = interaction.fields.getTextInputValue("words");
    say("form", { words, about: interaction.message.content });
  }
});

client.on(Events.MessageReactionAdd, (reaction, user) => {
  if (user.id !== client.user.id) say("reaction", { emoji: reaction.emoji.name });
});
client.on(Events.MessageDelete, (message) => say("deleted", { text: message.content }));
client.on(Events.ShardResume, (_, replayed) => say("resumed", { replayed }));
client.on(Events.ShardReconnecting, () => say("reconnecting"));
client.on(Events.Error, (error) => say("error", { error: String(error) }));

process.stdin.resume().on("end", () => client.destroy());
await client.login(process.env.DISCORD_TOKEN);
