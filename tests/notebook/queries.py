"""Forty searches as people type them, for the tests that compare what searches by the same engine."""

QUERIES = (
    *("gpt 5 mini", "sonet 5 vision cheap", "sonnet 5.5", "claude-sonnet-5-5", "gtp 5 mini", "gpt5", "o3"),  # versions
    *("deepsek v4 pro", "anthropc claud hiku", "tortose", "visoin", "qwen3 coder cheap", "swift", "gem", "g"),  # typos
    *("vision without tools", "non-reasoning open weights", "image generation", "pdf and audio input", "kimi thinking"),
    *("command a vision", "mistral large json", "key", "deprecated", "claude no haiku -opus", "newest reasoning"),
    *("free", "output < $5", "haiku cheap", "vision expensive", "vision tools 200k under $1 cheap"),  # prices
    *("1m context", "gpt-4-32k", "oss 20b on groq", "llama 70b on bedrock", "via bedrock", "on anthropc"),  # providers
    *("latest claude", "anthropic", "opus xyzzyq"),
)
