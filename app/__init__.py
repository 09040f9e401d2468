"""连心 LianXin: residents ask, the grid decides who answers, the auditor can check."""
