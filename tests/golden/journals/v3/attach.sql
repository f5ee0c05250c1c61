-- 0 before
-- 1 after
-- 2 killed 06 journal.commit
-- 3 killed 07 attach
-- 4 killed 09 journal.commit
-- 5 killed 10 attach
-- 6 killed 12 journal.commit
-- 7 killed 13 attach
-- 8 killed 14 journal.commit
-- 9 killed 15 attach
-- 10 incomplete 07 attach
-- 11 incomplete 10 attach
-- 12 incomplete 13 attach
-- 13 incomplete 15 attach
-- 14 lost 07 attach
-- 15 lost 10 attach
-- 16 lost 13 attach
-- 17 lost 15 attach
-- 18 undoing 01 detach
-- 19 undoing 05 detach
-- 20 undoing 08 detach
-- 21 undoing 12 detach
INSERT INTO "compensation_totals" VALUES('host_net_add','failed',1); -- 10
INSERT INTO "compensation_totals" VALUES('host_net_add','failed',2); -- 11-13
INSERT INTO "compensation_totals" VALUES('define','failed',1); -- 12
INSERT INTO "compensation_totals" VALUES('define','failed',2); -- 13
INSERT INTO "duration_totals" VALUES('attach','allocate',0.001,1,0.0); -- 1
INSERT INTO "duration_totals" VALUES('attach','plug',0.001,1,0.0); -- 1
INSERT INTO "nics" VALUES('fake:///host','00000000-0001-4000-8000-000000000000','ua-nic1','fake','52:54:00:00:00:01','bridge','br0','virtio','vnet0','','','Initialised','Connected','',1700000000.0); -- 1
INSERT INTO "nics" VALUES('fake:///host','00000000-0001-4000-8000-000000000000','ua-nic2','fake','52:54:00:00:00:02','network','default','virtio','vnet1','00000000-0000-4000-8000-000000000001','default','Initialised','Connected','',1700000000.0); -- 1
INSERT INTO "operation_totals" VALUES('attach','mixed','done','',1); -- 1
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','mixed','{"nics":[{"alias":"ua-nic1","mac":"52:54:00:00:00:01","type":"bridge","element":"<interface type=''bridge''><mac address=''52:54:00:00:00:01''/><source bridge=''br0''/><model type=''virtio''/><alias name=''ua-nic1''/></interface>"},{"alias":"ua-nic2","mac":"52:54:00:00:00:02","type":"network","element":"<interface type=''network''><mac address=''52:54:00:00:00:02''/><source network=''default''/><model type=''virtio''/><alias name=''ua-nic2''/></interface>"}],"remembered":[]}','done','done','','','00000000000340008000000000000000',1700000000.0,1700000000.0); -- 1
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','mixed','{"nics":[{"alias":"ua-nic1","mac":"52:54:00:00:00:01","type":"bridge","element":"<interface type=''bridge''><mac address=''52:54:00:00:00:01''/><source bridge=''br0''/><model type=''virtio''/><alias name=''ua-nic1''/></interface>"},{"alias":"ua-nic2","mac":"52:54:00:00:00:02","type":"network","element":"<interface type=''network''><mac address=''52:54:00:00:00:02''/><source network=''default''/><model type=''virtio''/><alias name=''ua-nic2''/></interface>"}],"remembered":[]}','running','','','','00000000000340008000000000000000',1700000000.0,NULL); -- 2-9
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','mixed','{"nics":[{"alias":"ua-nic1","mac":"52:54:00:00:00:01","type":"bridge","element":"<interface type=''bridge''><mac address=''52:54:00:00:00:01''/><source bridge=''br0''/><model type=''virtio''/><alias name=''ua-nic1''/></interface>"},{"alias":"ua-nic2","mac":"52:54:00:00:00:02","type":"network","element":"<interface type=''network''><mac address=''52:54:00:00:00:02''/><source network=''default''/><model type=''virtio''/><alias name=''ua-nic2''/></interface>"}],"remembered":[]}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (host_net_add: it failed, for the test). The journal keeps it: run ''virtnetplug recover''.','00000000000340008000000000000000',1700000000.0,NULL); -- 10
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','mixed','{"nics":[{"alias":"ua-nic1","mac":"52:54:00:00:00:01","type":"bridge","element":"<interface type=''bridge''><mac address=''52:54:00:00:00:01''/><source bridge=''br0''/><model type=''virtio''/><alias name=''ua-nic1''/></interface>"},{"alias":"ua-nic2","mac":"52:54:00:00:00:02","type":"network","element":"<interface type=''network''><mac address=''52:54:00:00:00:02''/><source network=''default''/><model type=''virtio''/><alias name=''ua-nic2''/></interface>"}],"remembered":[]}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (host_net_add: it failed, for the test; host_net_add: it failed, for the test). The journal keeps it: run ''virtnetplug recover''.','00000000000340008000000000000000',1700000000.0,NULL); -- 11
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','mixed','{"nics":[{"alias":"ua-nic1","mac":"52:54:00:00:00:01","type":"bridge","element":"<interface type=''bridge''><mac address=''52:54:00:00:00:01''/><source bridge=''br0''/><model type=''virtio''/><alias name=''ua-nic1''/></interface>"},{"alias":"ua-nic2","mac":"52:54:00:00:00:02","type":"network","element":"<interface type=''network''><mac address=''52:54:00:00:00:02''/><source network=''default''/><model type=''virtio''/><alias name=''ua-nic2''/></interface>"}],"remembered":[]}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (define: it failed, for the test; host_net_add: it failed, for the test; host_net_add: it failed, for the test). The journal keeps it: run ''virtnetplug recover''.','00000000000340008000000000000000',1700000000.0,NULL); -- 12
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','mixed','{"nics":[{"alias":"ua-nic1","mac":"52:54:00:00:00:01","type":"bridge","element":"<interface type=''bridge''><mac address=''52:54:00:00:00:01''/><source bridge=''br0''/><model type=''virtio''/><alias name=''ua-nic1''/></interface>"},{"alias":"ua-nic2","mac":"52:54:00:00:00:02","type":"network","element":"<interface type=''network''><mac address=''52:54:00:00:00:02''/><source network=''default''/><model type=''virtio''/><alias name=''ua-nic2''/></interface>"}],"remembered":[]}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (define: it failed, for the test; define: it failed, for the test; host_net_add: it failed, for the test; host_net_add: it failed, for the test). The journal keeps it: run ''virtnetplug recover''.','00000000000340008000000000000000',1700000000.0,NULL); -- 13
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','mixed','{"nics":[{"alias":"ua-nic1","mac":"52:54:00:00:00:01","type":"bridge","element":"<interface type=''bridge''><mac address=''52:54:00:00:00:01''/><source bridge=''br0''/><model type=''virtio''/><alias name=''ua-nic1''/></interface>"},{"alias":"ua-nic2","mac":"52:54:00:00:00:02","type":"network","element":"<interface type=''network''><mac address=''52:54:00:00:00:02''/><source network=''default''/><model type=''virtio''/><alias name=''ua-nic2''/></interface>"}],"remembered":[]}','incomplete','incomplete','connection-lost','the connection broke, for the test','00000000000340008000000000000000',1700000000.0,NULL); -- 14-17
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','mixed','{"nics":[{"alias":"ua-nic1","mac":"52:54:00:00:00:01","type":"bridge","element":"<interface type=''bridge''><mac address=''52:54:00:00:00:01''/><source bridge=''br0''/><model type=''virtio''/><alias name=''ua-nic1''/></interface>"},{"alias":"ua-nic2","mac":"52:54:00:00:00:02","type":"network","element":"<interface type=''network''><mac address=''52:54:00:00:00:02''/><source network=''default''/><model type=''virtio''/><alias name=''ua-nic2''/></interface>"}],"remembered":[]}','running','','','','00000000000440008000000000000000',1700000000.0,NULL); -- 18-21
INSERT INTO "steps" VALUES('000000000002',0,'reserve','ua-nic1','allocate',NULL,'done',1700000000.0,0.0,''); -- 1-21
INSERT INTO "steps" VALUES('000000000002',1,'allocate_actual_device','ua-nic1','allocate',NULL,'done',1700000000.0,0.0,''); -- 1-21
INSERT INTO "steps" VALUES('000000000002',2,'reserve','ua-nic2','allocate',NULL,'done',1700000000.0,0.0,''); -- 1-21
INSERT INTO "steps" VALUES('000000000002',3,'allocate_actual_device','ua-nic2','allocate',NULL,'done',1700000000.0,0.0,''); -- 1-21
INSERT INTO "steps" VALUES('000000000002',4,'host_net_add','ua-nic1','plug','live','done',1700000000.0,0.0,''); -- 1 4-9 15-21
INSERT INTO "steps" VALUES('000000000002',5,'confirm','ua-nic1','plug','live','done',1700000000.0,0.0,''); -- 1 4-9 11-13 15-21
INSERT INTO "steps" VALUES('000000000002',6,'host_net_add','ua-nic2','plug','live','done',1700000000.0,0.0,''); -- 1 6-9 16-21
INSERT INTO "steps" VALUES('000000000002',7,'confirm','ua-nic2','plug','live','done',1700000000.0,0.0,''); -- 1 6-9 12-13 16-21
INSERT INTO "steps" VALUES('000000000002',8,'define','ua-nic1','plug','config','done',1700000000.0,0.0,''); -- 1 8-9 17-21
INSERT INTO "steps" VALUES('000000000002',9,'define','ua-nic2','plug','config','done',1700000000.0,0.0,''); -- 1
INSERT INTO "steps" VALUES('000000000002',4,'host_net_add','ua-nic1','plug','live','started',1700000000.0,NULL,''); -- 2-3
INSERT INTO "steps" VALUES('000000000002',5,'confirm','ua-nic1','plug','live','planned',NULL,NULL,''); -- 2-3 10 14
INSERT INTO "steps" VALUES('000000000002',6,'host_net_add','ua-nic2','plug','live','planned',NULL,NULL,''); -- 2-3 10 14
INSERT INTO "steps" VALUES('000000000002',7,'confirm','ua-nic2','plug','live','planned',NULL,NULL,''); -- 2-5 10-11 14-15
INSERT INTO "steps" VALUES('000000000002',8,'define','ua-nic1','plug','config','planned',NULL,NULL,''); -- 2-5 10-11 14-15
INSERT INTO "steps" VALUES('000000000002',9,'define','ua-nic2','plug','config','planned',NULL,NULL,''); -- 2-7 10-12 14-16
INSERT INTO "steps" VALUES('000000000002',6,'host_net_add','ua-nic2','plug','live','started',1700000000.0,NULL,''); -- 4-5
INSERT INTO "steps" VALUES('000000000002',8,'define','ua-nic1','plug','config','started',1700000000.0,NULL,''); -- 6-7
INSERT INTO "steps" VALUES('000000000002',9,'define','ua-nic2','plug','config','started',1700000000.0,NULL,''); -- 8-9 18-21
INSERT INTO "steps" VALUES('000000000002',4,'host_net_add','ua-nic1','plug','live','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 10-13
INSERT INTO "steps" VALUES('000000000002',6,'host_net_add','ua-nic2','plug','live','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 11-13
INSERT INTO "steps" VALUES('000000000002',8,'define','ua-nic1','plug','config','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 12-13
INSERT INTO "steps" VALUES('000000000002',9,'define','ua-nic2','plug','config','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 13
INSERT INTO "steps" VALUES('000000000002',4,'host_net_add','ua-nic1','plug','live','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 14
INSERT INTO "steps" VALUES('000000000002',6,'host_net_add','ua-nic2','plug','live','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 15
INSERT INTO "steps" VALUES('000000000002',8,'define','ua-nic1','plug','config','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 16
INSERT INTO "steps" VALUES('000000000002',9,'define','ua-nic2','plug','config','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 17
